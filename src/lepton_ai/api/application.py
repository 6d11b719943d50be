"""Build the API: routes, the gate, limits, problems."""

from __future__ import annotations

import warnings

from fastapi import APIRouter, FastAPI
from pydantic.warnings import UnsupportedFieldAttributeWarning

from lepton_ai.api import advice, buckets, identities, membership, openapi, platform, problems, uploads
from lepton_ai.api.core import Core
from lepton_ai.api.kinds import reading_routes, routes_of_services
from lepton_ai.api.limits import BodyLimit
from lepton_ai.api.logs import log_routes
from lepton_ai.types.base import AnyObject
from lepton_ai.types.task import Task
from lepton_ai.version import VERSION


def create_api(core: Core) -> FastAPI:
    """Return the application; raises AssertionError for a route without a permission."""
    # FastAPI gives each body an alias, and pydantic warns of it once a model is built late: pydantic issue 12356.
    warnings.filterwarnings("ignore", "The 'alias' attribute", UnsupportedFieldAttributeWarning)
    app = FastAPI(
        title="Lepton AI",
        version=VERSION,
        openapi_url="/api/v1/openapi.json",
        docs_url="/api/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,  # the core does not know the address that the data plane is reached by
    )
    app.state.core = core
    problems.install(app)
    for router in _routers(core):
        app.router.routes.extend(router.routes)
    app.add_middleware(BodyLimit, bytes_max=core.settings.body_bytes_max)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    return app


def _routers(core: Core) -> list[APIRouter]:
    kinds: list[type[AnyObject]] = [
        kind for service in core.services.values() if service.has_tasks for kind in service.kinds
    ]
    return [
        *routes_of_services(core),
        *[log_routes(kind) for kind in kinds],
        *[advice.explain_routes(kind) for kind in kinds],
        advice.explain_routes(Task),
        *advice.routes(has_jobs="jobs" in core.services),
        reading_routes(Task, in_project=True),
        *identities.routes(),
        uploads.routes(),
        *([buckets.routes()] if "storage" in core.services else []),
        *membership.routes(),
        *platform.routes(),
    ]
