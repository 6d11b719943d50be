"""A replica in process: the real application behind httpx, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lepton_ai.serving.http import BODY_BYTES_MAX, Application
from lepton_ai.serving.metrics import Metrics
from lepton_ai.serving.routes import routes_of

Serve = Callable[..., httpx.AsyncClient]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that serves an object and gives a client to it."""
    pool = ThreadPoolExecutor(4)

    def start(instance: object, body_bytes_max: int = BODY_BYTES_MAX) -> httpx.AsyncClient:
        metrics = Metrics()
        application = Application(routes_of(instance, pool, metrics), metrics, body_bytes_max)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://replica")

    yield start
    pool.shutdown()
