"""Every route of the application, read from the application itself, with a request that reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from lepton_ai.api.access import GuardedRoute

DIGEST = "sha256:" + "0" * 64
# A request of each kind that the gate lets through and that nothing then comes of: the objects do not exist.
VALUES: Mapping[str, str] = {"name": "absent", "digest": DIGEST}


@dataclass(frozen=True)
class Door:
    """One method on one path."""

    method: str
    path: str
    operation: str
    route: APIRoute

    def url(self, project: str) -> str:
        """Return a URL that leads here."""
        values = {**VALUES, "project": project}
        return re.sub(r"{(\w+)}", lambda found: values[found[1]], self.path)

    @property
    def is_in_project(self) -> bool:
        return "{project}" in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def doors(app: FastAPI) -> Iterator[Door]:
    """Yield every route that the gate guards."""
    for route in every_route(app):
        if isinstance(route, GuardedRoute):
            for method in sorted(route.methods):
                yield Door(method, route.path, str(route.operation_id), route)


def every_route(app: FastAPI) -> list[Any]:
    """Return every route of the application."""
    return list(_flat(app.routes))


def _flat(routes: list[Any]) -> Iterator[Any]:
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        if inner is not None and not isinstance(route, APIRoute):
            yield from _flat(inner.routes)
        else:
            yield route
