"""What the data plane does for the services: carry requests to servers, and tell what it counted."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Protocol

from lepton_ai.types.data_plane import EndpointFigures, EndpointRoute, TokenGrant


class DataPlane(Protocol):
    """HAProxy in production, a fake in `testing`. Every call is safe to repeat."""

    def route(self, endpoints: Sequence[EndpointRoute], tokens: Sequence[TokenGrant]) -> None:
        """Make these, and only these, endpoints and tokens work."""

    def figures(self) -> Mapping[tuple[str, str], EndpointFigures]:
        """Return what was counted, by (project, name); nothing while the data plane does not answer."""

    def tls(self) -> ssl.SSLContext:
        """Return how the core speaks to the doors of nodes; raises Unavailable where there are none."""

    def url(self, project: str, name: str) -> str:
        """Return the address at which users reach the endpoint."""
