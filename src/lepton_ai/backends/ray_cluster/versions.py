"""Which versions this machine has of what must be the same on all nodes."""

from __future__ import annotations

import sys
from importlib import metadata

from lepton_ai.types.membership import Versions
from lepton_ai.version import VERSION


def own_versions() -> Versions:
    """Return the versions of Python, Ray and Lepton AI here; Ray's is read without importing it."""
    try:
        ray = metadata.version("ray")
    except metadata.PackageNotFoundError:
        ray = "none"
    return Versions(python=f"{sys.version_info.major}.{sys.version_info.minor}", ray=ray, lepton=VERSION)
