"""Checks that every service makes of what a user asks to run: the secrets and uploads that it names must exist."""

from __future__ import annotations

from collections.abc import Iterable

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.registry import Desk
from lepton_ai.types.identity import Secret


def require_secrets(project: str, names: Iterable[str], desk: Desk) -> None:
    """Raise InvalidInput for the first secret that the project does not have."""
    for name in names:
        if desk.look_up(Secret, project, name) is None:
            raise InvalidInput(
                f"Project {project!r} has no secret {name!r}.", hint=f"Set it first: lepton secret set {name}"
            )


def require_blobs(project: str, digests: Iterable[str], desk: Desk) -> None:
    """Raise InvalidInput for the first bundle or call that the project has not uploaded."""
    for digest in digests:
        if digest and not desk.has_blob(project, digest):
            raise InvalidInput(
                f"Project {project!r} has not uploaded {digest[:24]}...", hint="Upload it first: PUT .../blobs/{digest}"
            )
