"""Runs a replica's HTTP server: takes the port, serves until SIGTERM, finishes what is in flight, closes."""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvicorn

from lepton_ai.errors import Conflict, InvalidInput
from lepton_ai.serving.http import Application
from lepton_ai.serving.unread_body import CloseUnread

POOL_PREFIX = "lepton-call"
BACKLOG = 2048  # connections that wait to be accepted; the kernel's own ceiling is usually 4096
# Longer than a proxy keeps an idle connection, so that it is the proxy who closes and no request meets a closed one.
KEEP_ALIVE_SECONDS = 75
_log = logging.getLogger("lepton_ai.serving")


@dataclass(frozen=True, slots=True)
class Served:
    """What runs behind the port. `instance` is asked for `aclose` or `close` at the end."""

    application: Application
    pool: ThreadPoolExecutor
    instance: object


def take_port(environment: Mapping[str, str]) -> socket.socket:
    """Bind the address that HOST (127.0.0.1 if absent) and PORT name, without listening; raises InvalidInput, Conflict.

    Bound first and listened on last: a taken port is told of before a model is loaded for minutes, and nobody is
    answered before it is.
    """
    host, port = environment.get("HOST") or "127.0.0.1", environment.get("PORT", "")
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        raise InvalidInput(
            f"PORT is {port!r} in the environment." if port else "PORT is not set in the environment.",
            hint="Set it to a free port, such as PORT=8000.",
        )
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, int(port)))
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"Port {port} on {host} is taken.", hint="Choose another PORT.") from error
        raise InvalidInput(
            f"Cannot listen on {host} port {port}: {error.strerror}.", hint="Check HOST and PORT."
        ) from error
    return taken


def serve(build: Callable[[], Served], bound: socket.socket, *, grace_seconds: float) -> None:
    """Build what is served, answer on `bound` until SIGTERM or SIGINT, then give calls `grace_seconds` to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    served = build()
    server = uvicorn.Server(_config(served.application, grace_seconds))

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn has handlers of its own while it serves. These hold before that, so that no signal is lost, and after:
    # it then repeats the signal, which must not kill the process that has just shut down cleanly.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(server, served, bound))
    _leave()


def _config(application: Application, grace_seconds: float) -> uvicorn.Config:
    return uvicorn.Config(
        CloseUnread(application),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
        server_header=False,
        proxy_headers=False,
    )


async def _serve(server: uvicorn.Server, served: Served, bound: socket.socket) -> None:
    host, port = bound.getsockname()[:2]
    _log.info("Ready on http://%s:%s", host, port)
    await server.serve(sockets=[bound])
    served.pool.shutdown(wait=False, cancel_futures=True)
    await _close(served.instance)


async def _close(instance: object) -> None:
    close = getattr(instance, "aclose", None) or getattr(instance, "close", None)
    if not callable(close):
        return
    try:
        result = close()
        if inspect.isawaitable(result):
            await result
    except Exception as error:
        _log.error("Closing %s failed", type(instance).__name__, exc_info=error)


def _leave() -> None:
    """End the process even if a call outlived its grace: the interpreter would wait for its thread without end."""
    stuck = [each for each in threading.enumerate() if each.name.startswith(POOL_PREFIX) and each.is_alive()]
    for each in stuck:
        each.join(timeout=0.2)  # idle threads leave at once after the pool's shutdown
    if any(each.is_alive() for each in stuck):
        _log.warning("Left calls running that did not end in time")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
