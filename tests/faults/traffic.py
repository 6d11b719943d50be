"""An endpoint under load: clients that ask all the time, and a count of every answer that they got."""

from __future__ import annotations

import threading
import time
from collections import Counter

import httpx

from tests.faults.rig import ENDPOINTS, PATIENCE_SECONDS, Json, Platform, ok, wait_for

CLIENTS = 4
PAUSE_SECONDS = 0.005
SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


def serve(platform: Platform, name: str = "echo", *, replicas: int = 1, **spec: Json) -> str:
    """Create an endpoint whose replicas answer with their process number; return its path once all are ready."""
    wanted = {
        "command": ["python", "-S", "-c", SERVER],
        "replicas": replicas,
        "resources": {"cpu": 0.5, "memory": "128MB"},
        **spec,
    }
    ok(platform.call("POST", ENDPOINTS, {"metadata": {"name": name}, "spec": wanted}))
    await_ready(platform, name, replicas)
    return f"/endpoints/default/{name}/"


def await_ready(platform: Platform, name: str, replicas: int) -> None:
    """Wait until so many replicas are ready."""
    path = f"{ENDPOINTS}/{name}"
    wait_for(lambda: platform.get(path)["status"]["ready_replicas"] == replicas, f"{replicas} replicas of {name}")


class Traffic:
    """Requests to one path between `with` and its end. `answers` counts status codes and names of errors."""

    def __init__(self, platform: Platform, path: str) -> None:
        self._platform = platform
        self._path = path
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        self.answers: Counter[int | str] = Counter()

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        self.await_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def await_more(self, count: int = 200) -> None:
        """Wait until so many more requests were answered with 200."""
        wanted = self.answers[200] + count
        wait_for(lambda: self.answers[200] >= wanted, f"{count} more answers; so far {dict(self.answers)}")

    def _run(self) -> None:
        with self._platform.client() as client:
            while not self._ended.is_set():
                try:
                    self.answers[client.get(self._path).status_code] += 1
                except httpx.TransportError as error:
                    self.answers[type(error).__name__] += 1
                time.sleep(PAUSE_SECONDS)
