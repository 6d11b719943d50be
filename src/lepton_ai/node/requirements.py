"""Check what a user wants installed, before any installer sees it: names and versions, never options or local files."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lepton_ai.errors import InvalidInput

REQUIREMENTS_MAX = 1000
LINE_LENGTH_MAX = 1000
_SCHEMES = ("https", "git+https")


def parse_requirements(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the requirements (PEP 508) in one normal form: sorted, each once, without comments and empty lines.

    Raises InvalidInput for anything else: an installer's option, a local path, an address that is not HTTPS, one that
    carries a password, or a reference to an environment variable, which the installer would fill in.
    """
    found: set[str] = set()
    for line in lines:
        text = line.split(" #", 1)[0].strip() if not line.lstrip().startswith("#") else ""
        if text:
            found.add(_parse(text))
        if len(found) > REQUIREMENTS_MAX:
            raise InvalidInput(f"There are more than {REQUIREMENTS_MAX:,} requirements.", hint="Publish a package.")
    return tuple(sorted(found))


def _parse(text: str) -> str:
    shown = text.partition("://")[0][:100]  # What follows may hold a password.
    if text.startswith("-"):
        raise InvalidInput(
            f"The requirement {shown!r} is an option of an installer.",
            hint="Set indexes and options on the node (PIP_INDEX_URL or pip.conf); name packages here.",
        )
    if len(text) > LINE_LENGTH_MAX or not text.isprintable() or "${" in text:
        raise InvalidInput(
            f"The requirement {shown!r} is too long or has characters that none may have.",
            hint=f"Write one requirement a line, such as `numpy>=2`, in at most {LINE_LENGTH_MAX} characters.",
        )
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise InvalidInput(
            f"{shown!r} is not a requirement: {str(error).splitlines()[0]}.",
            hint="Write a name with or without versions, such as `numpy>=2` (PEP 508).",
        ) from error
    if requirement.url:
        _check_url(requirement.name, requirement.url)
    requirement.name = canonicalize_name(requirement.name)
    return str(requirement)


def _check_url(name: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise InvalidInput(
            f"The requirement {name!r} comes from {parts.scheme or 'a local path'}, not from HTTPS.",
            hint="Give an https:// or git+https:// address, or put the code into the working directory.",
        )
    if parts.password or (parts.username and parts.username != "git"):
        raise InvalidInput(
            f"The address of the requirement {name!r} carries a user name or password.",
            hint="Set up the credentials on the node (pip.conf or .netrc); a job's specification is not secret.",
        )
