"""Served as an endpoint: tells on which machine of the cluster the request was answered."""

from __future__ import annotations

import os

from lepton_ai import handler


class Whereabouts:
    """Knows where it is."""

    @handler
    def node(self) -> str:
        """Return the node that answers."""
        return os.environ["LEPTON_NODE"]
