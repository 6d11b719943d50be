"""Every route of the application, read from the application itself, with a request that reaches it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import FastAPI

from lepton_ai.api.access import GuardedRoute

# A request of each kind that the gate lets through and that nothing then comes of: the objects do not exist.
VALUES: Mapping[str, str] = {"name": "absent", "digest": "sha256:" + "0" * 64}


@dataclass(frozen=True)
class Door:
    """One method on one path."""

    method: str
    path: str
    operation: str

    def url(self, project: str = "default", name: str = "absent") -> str:
        """Return a URL that leads here."""
        values = {**VALUES, "project": project, "name": name}
        return re.sub(r"{(\w+)}", lambda found: values[found[1]], self.path)

    @property
    def is_in_project(self) -> bool:
        return "{project}" in self.path

    @property
    def is_endless(self) -> bool:
        return self.path.endswith("/watch")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def doors(app: FastAPI) -> Sequence[Door]:
    """Return every method of every route that the gate guards."""
    guarded = [route for route in app.routes if isinstance(route, GuardedRoute)]
    return [Door(method, route.path, route.operation) for route in guarded for method in sorted(route.methods or ())]
