"""What `lepton_ai.serving` adds to a request: the same trivial app bare, under Starlette and as handlers, in one run.

    python benchmarks/serving_overhead.py [--seconds 2] [--rounds 3] [--output json]

Every app is its own process with uvicorn, httptools and no access log. The rounds take turns among the apps, so that
a neighbour's load falls on all of them; ratios are of the medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

CLIENTS = (1, 32)
BODY = b'{"text":"hello"}'
START_SECONDS_MAX = 30.0
SOURCE = """
import sys
import uvicorn
from lepton_ai.serving.app import handler

async def bare(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-type", b"application/json"), (b"content-length", b"7")]})
    await send({"type": "http.response.body", "body": b\'"hello"\'})

def starlette():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def echo(request):
        return JSONResponse((await request.json())["text"])

    return Starlette(routes=[Route("/echo", echo, methods=["POST"])])

class Echo:
    @handler
    async def echo(self, text: str) -> str:
        return text

    @handler
    def plain(self, text: str) -> str:
        return text

    @handler(max_batch_size=32, max_wait_ms=2)
    def batched(self, text: list[str]) -> list[str]:
        return text

if __name__ == "__main__":
    app = bare if sys.argv[1] == "bare" else starlette()
    uvicorn.run(app, port=int(sys.argv[2]), http="httptools", access_log=False, log_level="warning", lifespan="off")
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--output", choices=("table", "json"), default="table")
    chosen = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "trivial_apps.py").write_text(SOURCE)
        bare, starlette = (
            stack.enter_context(_started(folder, ["trivial_apps.py", kind])) for kind in ("bare", "starlette")
        )
        ours = stack.enter_context(_started(folder, ["-m", "lepton_ai.serving", "--app", "trivial_apps:Echo"]))
        targets = {
            "bare uvicorn": (bare, _request("/echo", BODY)),
            "starlette": (starlette, _request("/echo", BODY)),
            "async handler": (ours, _request("/echo", BODY)),
            "plain handler": (ours, _request("/plain", BODY)),
            "batched handler": (ours, _request("/batched", b'{"text":["hello"]}')),
        }
        figures = _measure(targets, chosen.rounds, chosen.seconds)
    if chosen.output == "json":
        print(json.dumps(figures, indent=2))
    else:
        Console().print(_table(figures))


def _measure(targets: dict[str, tuple[int, bytes]], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    samples: dict[str, dict[str, list[float]]] = {name: {} for name in targets}
    for _ in range(rounds):
        for clients in CLIENTS:
            for name, (port, request) in targets.items():
                latencies = asyncio.run(_load(port, request, clients, seconds))
                row = samples[name]
                row.setdefault(f"p50_ms_{clients}", []).append(statistics.median(latencies) * 1000)
                row.setdefault(f"per_second_{clients}", []).append(len(latencies) / seconds)
    return {name: {key: statistics.median(values) for key, values in row.items()} for name, row in samples.items()}


class _Client(asyncio.Protocol):
    """Sends the same request again as soon as its answer is whole; as little code per request as Python allows."""

    def __init__(self, request: bytes, until: float, latencies: list[float]) -> None:
        self._request, self._until, self._latencies = request, until, latencies
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return
        assert head.startswith(b"HTTP/1.1 200"), self._buffer
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        self._buffer = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.done.set_result(None)


async def _load(port: int, request: bytes, clients: int, seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    made = [
        await loop.create_connection(lambda: _Client(request, until, latencies), "127.0.0.1", port)
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in made))
    return latencies


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def _started(folder: Path, arguments: Sequence[str]) -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *arguments, *([] if "-m" in arguments else [str(port)])],
        cwd=folder,
        env={**os.environ, "PORT": str(port)},
    )
    try:
        _wait_until_open(port)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _wait_until_open(port: int) -> None:
    give_up = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


def _table(figures: dict[str, dict[str, float]]) -> Table:
    table = Table("clients", "app", "p50 ms", "p50 + ms", "requests/s", "of bare")
    bare = figures["bare uvicorn"]
    for clients in CLIENTS:
        for name, row in figures.items():
            p50, rate = row[f"p50_ms_{clients}"], row[f"per_second_{clients}"]
            added, share = p50 - bare[f"p50_ms_{clients}"], rate / bare[f"per_second_{clients}"]
            table.add_row(str(clients), name, f"{p50:.3f}", f"{added:+.3f}", f"{rate:,.0f}", f"{share:.2f}")
    return table


if __name__ == "__main__":
    main()
