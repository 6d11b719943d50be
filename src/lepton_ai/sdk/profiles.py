"""Which instance to speak to, and as whom: arguments over the environment over a profile in the state folder."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from lepton_ai.errors import InvalidInput, NotFound, Unauthenticated
from lepton_ai.types.base import DEFAULT_PROJECT
from lepton_ai.types.home import home_folder

DEFAULT_PROFILE = "local"
FOLDER = "profiles"
SUFFIX = ".toml"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_OTHERS_MAY_READ = 0o077


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile's file holds. The token opens everything that its user may do, so the file is 0600.

    Of an instance with several cores, `url` names each, with commas between them.
    """

    url: str
    token: str = field(default="", repr=False)
    ca: str = ""
    project: str = DEFAULT_PROJECT


@dataclass(frozen=True, slots=True)
class Target:
    """One instance, resolved. `token_source` says in words where the token came from; `ca` empty trusts the system.

    `others` are the addresses of its further cores, one of which may lead.
    """

    url: str
    token: str = field(repr=False)
    token_source: str
    ca: str = ""
    project: str = DEFAULT_PROJECT
    others: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        return (urlsplit(self.url).hostname or "") in _LOOPBACK


def resolve(instance: str, token: str, project: str, environment: Mapping[str, str] | None = None) -> Target:
    """Return what to connect to; empty arguments fall back to LEPTON_INSTANCE, LEPTON_TOKEN, LEPTON_PROJECT, `local`.

    `instance` is the name of a profile, an `https://` URL, or the URLs of several cores with commas between. Raises
    NotFound for a name without a profile, Unauthenticated without a token, and InvalidInput for a profile that is
    broken or that others may read.
    """
    env = os.environ if environment is None else environment
    wanted = instance or env.get("LEPTON_INSTANCE", "") or DEFAULT_PROFILE
    home = home_folder(env)
    if "://" in wanted:
        profile, source = Profile(_checked_urls(wanted), ca=_ca_of(home, wanted)), ""
    else:
        profile, source = read_profile(home, wanted), f"the profile {_path(home, wanted)}"
    tokens = ((token, "the argument `token`"), (env.get("LEPTON_TOKEN", ""), "LEPTON_TOKEN"), (profile.token, source))
    chosen = next(((value, where) for value, where in tokens if value), None)
    if chosen is None:
        raise Unauthenticated(
            f"There is no token for {profile.url}.", hint="Pass LeptonAI(instance, token), or set LEPTON_TOKEN."
        )
    first, *others = profile.url.split(",")
    return Target(
        url=first,
        others=tuple(others),
        token=_checked_token(*chosen),
        token_source=chosen[1],
        ca=env.get("LEPTON_CA", "") or profile.ca,
        project=project or env.get("LEPTON_PROJECT", "") or profile.project,
    )


def list_profiles(home: Path) -> tuple[str, ...]:
    """Return the names of the profiles in the state folder, sorted."""
    return tuple(sorted(path.stem for path in (home / FOLDER).glob(f"*{SUFFIX}") if _NAME.match(path.stem)))


def read_profile(home: Path, name: str) -> Profile:
    """Return one profile; raises NotFound with those that there are, InvalidInput if it is broken or open to others."""
    path = _path(home, name)
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS_MAY_READ:
            raise InvalidInput(
                f"{path} holds a token, and others may read it (mode {mode & 0o777:04o}).", hint=f"chmod 600 {path}"
            )
        return _parse(path)
    except FileNotFoundError:
        known = ", ".join(list_profiles(home)) or "none"
        raise NotFound(
            f"There is no instance named {name!r}; profiles in {home / FOLDER}: {known}.",
            hint=f"Start one on this machine: lepton up{'' if name == DEFAULT_PROFILE else f' --name {name}'}",
        ) from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error


def write_profile(home: Path, name: str, profile: Profile) -> Path:
    """Write one profile, whole or not at all, readable by its owner alone; return its path."""
    path = _path(home, name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    values = [(item.name, getattr(profile, item.name)) for item in fields(Profile)]
    # A JSON string is a TOML basic string as long as it is not escaped to ASCII (TOML 1.0, section "String").
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    partial.replace(path)
    return path


def _path(home: Path, name: str) -> Path:
    if not _NAME.match(name):
        raise InvalidInput(
            f"{name[:80]!r} is neither a URL nor the name of an instance.",
            hint="A URL starts with https://; a name has letters, digits, `_`, `-` and `.`.",
        )
    return home / FOLDER / f"{name}{SUFFIX}"


def _parse(path: Path) -> Profile:
    hint = "Mend or remove the file; `lepton up` writes it anew."
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}.", hint=hint) from error
    known = {item.name for item in fields(Profile)}
    for key, value in values.items():
        if key not in known or not isinstance(value, str):
            raise InvalidInput(f"{path}: {key!r} is not a text that a profile has ({', '.join(sorted(known))}).")
    if "url" not in values:
        raise InvalidInput(f"{path} names no url.", hint=hint)
    return Profile(**{**values, "url": _checked_urls(values["url"])})


def _checked_urls(urls: str) -> str:
    return ",".join(dict.fromkeys(_checked_url(url.strip()) for url in urls.split(",")))


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not is_safe or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise InvalidInput(
            f"{url.rpartition('@')[2][:200]!r} is not the URL of an instance.",
            hint="Write https://HOST:PORT; plain http would show the token to the network.",
        )
    return url.rstrip("/")


def _checked_token(token: str, source: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput(f"The token from {source} holds characters that no token has.", hint="Copy it again.")
    return token


def _ca_of(home: Path, url: str) -> str:
    """Return the CA of a profile with one of the URLs. A CA is public, so the file's mode does not matter here."""
    for name in list_profiles(home):
        try:
            profile = _parse(_path(home, name))
        except (InvalidInput, OSError):
            continue
        if set(profile.url.split(",")) & set(_checked_urls(url).split(",")):
            return profile.ca
    return ""
