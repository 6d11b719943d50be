"""Where the state folder is, for the core and for its clients alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def home_folder(environment: Mapping[str, str]) -> Path:
    """Return the state folder: LEPTON_HOME, or ~/.lepton."""
    chosen = environment.get("LEPTON_HOME", "")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".lepton"
