"""The line that calls an endpoint with curl, as it can be pasted into a shell."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_ai.settings import default_home

if TYPE_CHECKING:
    from lepton_ai.sdk.profiles import Target

TOKEN_FILE = "admin.token"  # noqa: S105 - a file's name
FROM_PROFILE = "the profile "  # as the SDK says where a token came from
VARIABLE = "LEPTON_TOKEN"


def curl_line(target: Target, url: str) -> str:
    """Return the command. The token is not in it: the shell takes it from where this program has it from."""
    authority = f"--cacert {shlex.quote(target.ca)} " if target.ca else ""
    return f'curl {authority}-H "Authorization: Bearer {_token(target)}" {shlex.quote(url)}'


def _token(target: Target) -> str:
    if target.token_source == VARIABLE and os.environ.get(VARIABLE):
        return f"${VARIABLE}"
    file = default_home() / TOKEN_FILE
    if _holds(file, target.token):
        return f"$(cat {shlex.quote(str(file))})"
    if target.token_source.startswith(FROM_PROFILE):
        profile = shlex.quote(target.token_source.removeprefix(FROM_PROFILE))
        return f"""$(sed -n 's/^token = "\\(.*\\)"$/\\1/p' {profile})"""
    return f"${VARIABLE}"


def _holds(file: Path, token: str) -> bool:
    try:
        return file.read_text().strip() == token
    except OSError:
        return False
