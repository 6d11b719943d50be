"""What a core answers that stands by: how it is, and to everything else that another one leads."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse

from lepton_ai.api import problems
from lepton_ai.errors import Forbidden, LeptonError, NotLeading
from lepton_ai.kernel.auth import Gatekeeper
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.lease import Lease
from lepton_ai.types.operation import may
from lepton_ai.types.platform_status import CoreStatus, LeaseStatus, PlatformStatus
from lepton_ai.version import VERSION

LEADER_HEADER = "x-lepton-leader"
RETRY_SECONDS = 1
STATUS = "/api/v1/status"
STATE = "standby"


def create_standby_api(lease: Lease, store: Store, clock: Clock, url: str, data_plane: Callable[[], str]) -> FastAPI:
    """Return the application of a core at `url` that does not lead."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    problems.install(app)
    started_at = clock.now()

    @app.get(STATUS)
    def status(request: Request) -> JSONResponse:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        # A new one each time: tokens are withdrawn elsewhere, and nobody asks this often.
        caller = Gatekeeper(store, clock).caller(bearer if scheme.lower() == "bearer" else "")
        if not may(caller.roles, "status.get", ""):
            raise Forbidden("This token may not see how the platform is.")
        found = _status(lease, url, started_at).replace(database=store.dialect)
        return JSONResponse(found.model_dump(mode="json") | {"data_plane": {"state": data_plane()}})

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def elsewhere(path: str) -> Response:
        return _elsewhere(lease)

    return app


def _status(lease: Lease, url: str, started_at: datetime) -> PlatformStatus:
    core = CoreStatus(pid=os.getpid(), started_at=started_at, state=STATE)
    return PlatformStatus(url=url, version=VERSION, core=core, lease=lease_status(lease))


def lease_status(lease: Lease) -> LeaseStatus:
    """Return who leads, as `lepton status` shows it."""
    now = lease.look()
    return LeaseStatus(epoch=now.epoch, leader=now.url, seconds_left=round(now.seconds_left, 3))


def _elsewhere(lease: Lease) -> Response:
    try:
        leader = lease.look().url
    except LeptonError:
        leader = ""
    error = NotLeading(
        f"This core stands by; {leader or 'another one'} leads.",
        hint="Ask that one; a client that knows both addresses does so by itself.",
    )
    answer = problems.problem(error.http_status, error.code, error.message, hint=error.hint)
    answer.headers["retry-after"] = str(RETRY_SECONDS)
    if leader:
        answer.headers[LEADER_HEADER] = leader
    return answer
