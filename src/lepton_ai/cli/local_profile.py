"""The profiles with which the next command finds the platform that `lepton up` started."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lepton_ai.errors import LeptonError, StorageFailed

if TYPE_CHECKING:
    from lepton_ai.cli.session import Session
    from lepton_ai.sdk.client import LeptonAI
    from lepton_ai.sdk.profiles import Profile

LOCAL = "local"
TOKEN_FILE = "admin.token"  # noqa: S105 - a file's name
CA_FILE = "tls/ca.pem"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")


def check_profile_name(name: str) -> str:
    """Return `name` if it may name a profile; otherwise the command was used wrongly."""
    if not _NAME.match(name):
        raise typer.BadParameter(f"{name[:80]!r} is not a profile's name: use letters, digits, '_', '-' and '.'.")
    return name


def write_local_profile(home: Path, name: str, url: str) -> None:
    """Write the profile (0600) with the admin token and the certificate authority of `home`; raises StorageFailed."""
    from lepton_ai.sdk.profiles import Profile, write_profile  # Late: the core starts meanwhile.
    from lepton_ai.types.base import DEFAULT_PROJECT

    before = _profile_before(home, name)
    try:
        token = (home / TOKEN_FILE).read_text().strip()
        wanted = Profile(url, token, str(home / CA_FILE), before.project if before else DEFAULT_PROJECT)
        if wanted != before:
            write_profile(home, name, wanted)
    except OSError as error:
        raise StorageFailed(
            f"The profile {name!r} in {home} cannot be written: {error.strerror or error}.",
            hint="Check the owner of the state folder and the disk's free space.",
        ) from error


def open_local(session: Session, home: Path) -> LeptonAI:
    """Return a client of the platform on this machine, as its administrator, whatever the environment names."""
    try:
        token = (home / TOKEN_FILE).read_text().strip()
    except OSError:
        token = ""
    return session.open(LOCAL, token, "")


def _profile_before(home: Path, name: str) -> Profile | None:
    """Return the profile that is there; one that is missing, broken or open to others is written anew."""
    from lepton_ai.sdk.profiles import read_profile

    try:
        return read_profile(home, name)
    except LeptonError:
        return None
