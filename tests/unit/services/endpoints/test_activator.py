"""The activator over real sockets: what a replica is told, who waits, and what is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from lepton_ai.kernel.registry import Scope
from lepton_ai.services.endpoints import activator
from lepton_ai.services.endpoints.activator import Activator, Sleeper
from lepton_ai.types.data_plane import Server
from lepton_ai.types.endpoint import Endpoint
from tests.unit.services.endpoints.samples import endpoint

GONE = {"type": "http.disconnect"}
EMPTY = {"type": "http.request", "body": b"", "more_body": False}
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood"


@dataclass
class Client:
    """One request, which sends what it has and then stays until it leaves."""

    method: str = "GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    sends: tuple[Scope, ...] = (EMPTY,)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    told: list[Scope] = field(default_factory=list)

    async def ask(self, asked: Activator, name: str = "digits") -> int:
        """Return the status of the answer; 0 if none came."""
        headers = [(b"x-lepton-activate", f"default/{name}".encode()), *self.headers]
        path = f"/endpoints/default/{name}/x"
        remaining = list(self.sends)

        async def receive() -> Scope:
            if not remaining:
                await self.left.wait()
            return remaining.pop(0) if remaining else dict(GONE)

        async def send(message: Scope) -> None:
            self.told.append(message)

        scope = {"type": "http", "method": self.method, "path": path, "headers": headers}
        await asked(scope, receive, send)
        return int(self.told[0]["status"]) if self.told else 0


@dataclass
class Fleet:
    """One endpoint with these servers. `woken` counts the wishes; each runs the step that is next, if there is one."""

    servers: list[Server] = field(default_factory=list)
    endpoint: Endpoint = field(default_factory=endpoint)
    woken: int = 0
    steps: list[Callable[[], object]] = field(default_factory=list)

    def activator(self) -> Activator:
        return Activator(look=lambda _project, name: Sleeper(self.endpoint, tuple(self.servers)), wake=self._wake)

    def _wake(self, _endpoint: Endpoint) -> None:
        self.woken += 1
        if self.steps:
            self.steps.pop(0)()


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60))


async def until(is_done: Callable[[], bool]) -> None:
    while not is_done():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def replica(
    name: str = "one", *, answer: bytes = GOOD, seen: list[bytes] | None = None, free: asyncio.Event | None = None
) -> AsyncIterator[Server]:
    """A server that answers `answer` (nothing: it hangs up) to whole requests, once `free` is set."""
    seen = seen if seen is not None else []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            ends = b"0\r\n\r\n" if b"chunked" in head.lower() else b""
            seen.append(head + (await reader.readuntil(ends) if ends else b""))
            await (free.wait() if free else asyncio.sleep(0))
            writer.write(answer)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield Server(id=name, address="127.0.0.1", port=listening.sockets[0].getsockname()[1])


def dead(name: str = "dead") -> Server:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return Server(id=name, address="127.0.0.1", port=listening.getsockname()[1])


def test_a_replica_sees_no_secret_of_ours() -> None:
    async def main() -> None:
        seen: list[bytes] = []
        headers = (
            (b"x-lepton-gateway", b"s3cret-1"),
            (b"x-lepton-future", b"s3cret-2"),
            (b"authorization", b"s3cret-3"),
            (b"cookie", b"s3cret-4"),
            (b"x-lepton-project", b"vision"),
            (b"x-own", b"mine"),
        )
        async with replica(seen=seen) as server:
            assert await Client(headers=headers).ask(Fleet([server]).activator()) == 200
        told = seen[0].lower()
        assert b"s3cret" not in told
        assert b"activate" not in told
        assert b"x-lepton-project: vision" in told
        assert b"x-own: mine" in told

    run(main())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_whose_replica_has_just_died_waits_for_the_next(method: str) -> None:
    async def main() -> None:
        async with replica("two") as server:
            fleet = Fleet([dead()])
            fleet.steps = [lambda: fleet.servers.append(server)]
            body = ({"type": "http.request", "body": b"all of it", "more_body": False},)
            client = Client(method, headers=((b"transfer-encoding", b"chunked"),), sends=body)
            assert await client.ask(fleet.activator()) == 200

    run(main())


@pytest.mark.parametrize(("method", "status", "tries"), [("GET", 200, 0), ("HEAD", 200, 0), ("POST", 502, 1)])
def test_only_what_may_be_asked_twice_is_asked_again_when_the_replica_hangs_up(
    method: str, status: int, tries: int
) -> None:
    async def main() -> None:
        async with replica("one", answer=b"") as first, replica("two") as second:
            fleet = Fleet([first])
            fleet.steps = [lambda: fleet.servers.append(second)]
            assert await Client(method).ask(fleet.activator()) == status
            assert len(fleet.steps) == tries

    run(main())


def test_a_request_that_kills_every_replica_is_given_up() -> None:
    async def main() -> None:
        seen: list[bytes] = []
        async with contextlib.AsyncExitStack() as stack:
            names = [str(number) for number in range(activator.DROPS_MAX + 2)]
            servers = [await stack.enter_async_context(replica(name, answer=b"", seen=seen)) for name in names]
            assert await Client().ask(Fleet(servers).activator()) == 502
        assert len(seen) == activator.DROPS_MAX

    run(main())


def test_a_replica_that_refuses_for_ever_is_a_refusal_after_the_start_time_out() -> None:
    async def main() -> None:
        fleet = Fleet([dead()], endpoint(start_timeout="100ms"))
        assert await Client().ask(fleet.activator()) == 503

    run(main())


def test_a_client_that_left_keeps_nothing_awake() -> None:
    async def main() -> None:
        fleet, client = Fleet(), Client()
        fleet.steps = [client.left.set]
        assert await client.ask(fleet.activator()) == 0
        assert client.told == []

    run(main())


def test_a_body_that_came_while_the_request_waited_arrives_whole_and_once() -> None:
    async def main() -> None:
        seen: list[bytes] = []
        pieces = [b"%03d" % number for number in range(100)]
        sends = (*({"type": "http.request", "body": piece, "more_body": True} for piece in pieces), EMPTY)
        async with replica(seen=seen) as server:
            fleet = Fleet()
            fleet.steps = [lambda: None, lambda: fleet.servers.append(server)]
            client = Client("POST", headers=((b"transfer-encoding", b"chunked"),), sends=sends)
            assert await client.ask(fleet.activator()) == 200
        lines = seen[0].partition(b"\r\n\r\n")[2].split(b"\r\n")
        assert lines[1::2][:100] == pieces

    run(main())


def test_a_body_is_read_ahead_no_further_than_the_limit() -> None:
    async def main() -> None:
        piece = {"type": "http.request", "body": b"x" * 65536, "more_body": True}
        sends = (*(piece,) * 8, GONE)
        fleet = Fleet(endpoint=endpoint(start_timeout="200ms"))
        # Whoever reads all of it sees that the client left; whoever stops at the limit refuses when time is up.
        assert await Client("POST", sends=sends).ask(fleet.activator()) == 503

    run(main())


def test_a_body_that_breaks_off_is_not_given_to_the_replica_as_if_it_were_whole() -> None:
    async def main() -> None:
        seen: list[bytes] = []
        sends = ({"type": "http.request", "body": b"half", "more_body": True}, GONE)
        async with replica(seen=seen) as server:
            client = Client("POST", headers=((b"transfer-encoding", b"chunked"),), sends=sends)
            assert await client.ask(Fleet([server]).activator()) == 0
        assert seen == []

    run(main())


def test_an_endpoint_holds_no_more_than_its_share_of_those_who_wait() -> None:
    async def main() -> None:
        fleet = Fleet()
        asked = fleet.activator()
        clients = [Client() for _ in range(activator.WAITING_PER_ENDPOINT_MAX)]
        waiting = [asyncio.ensure_future(client.ask(asked)) for client in clients]
        await until(lambda: fleet.woken >= len(waiting))
        late = Client()
        assert await late.ask(asked) == 503
        assert b"retry-after" in dict(late.told[0]["headers"])
        async with replica() as server:
            fleet.servers.append(server)
            assert await Client().ask(asked, "other") == 200
            assert set(await asyncio.gather(*waiting)) == {200}
            assert await Client().ask(asked) == 200

    run(main())


def test_those_who_waited_are_spread_over_the_servers() -> None:
    async def main() -> None:
        seen: tuple[list[bytes], list[bytes]] = [], []
        free = asyncio.Event()
        async with replica("one", seen=seen[0], free=free) as one, replica("two", seen=seen[1], free=free) as two:
            asked = Fleet([one, two]).activator()
            asking = [asyncio.ensure_future(Client().ask(asked)) for _ in range(10)]
            await until(lambda: len(seen[0]) + len(seen[1]) == 10)
            free.set()
            await asyncio.gather(*asking)
        assert (len(seen[0]), len(seen[1])) == (5, 5)

    run(main())


def test_a_server_gets_no_more_at_once_than_the_endpoint_allows() -> None:
    async def main() -> None:
        seen: list[bytes] = []
        free = asyncio.Event()
        async with replica(seen=seen, free=free) as server:
            fleet = Fleet([server], endpoint(max_concurrency=2))
            asked = fleet.activator()
            asking: list[Awaitable[int]] = [asyncio.ensure_future(Client().ask(asked)) for _ in range(6)]
            await until(lambda: len(seen) == 2 and fleet.woken >= 8)
            assert len(seen) == 2
            free.set()
            assert await asyncio.gather(*asking) == [200] * 6

    run(main())
