"""One frozen Settings, read once: environment over `config.toml` in the state folder over defaults."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lepton_ai.errors import InvalidInput
from lepton_ai.types.home import home_folder

CONFIG_FILE = "config.toml"
PREFIX = "LEPTON_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every knob of the core. Each field may be set as LEPTON_<FIELD> or as a line in `config.toml`.

    `home` is the state folder; `database` is a SQLAlchemy URL, empty for SQLite in the state folder; `address` and
    `port` are where the one HTTPS port listens, port 0 takes a free one. `storage` is where the objects of buckets lie:
    "local" is a folder, "seaweedfs" a server that the platform runs. `ray_address` is the head of a Ray cluster
    that somebody else keeps and whose nodes the work runs on, as `host:port`. `cluster_address` is the address by which
    other machines reach this one to join it, empty for one machine alone; Ray's head listens there on `cluster_port`.
    `standby` lets this core wait while another leads the same database; `shared` is the folder that all of them reach.
    `simulated_devices`, such as "2x80GB", declares accelerators that this machine does not have, for tests and demos.
    `cluster_store` is where Ray's head keeps what it knows: "memory", so that what runs on the cluster ends with it;
    "redis", a Redis that the platform runs; or the URL of another, known by the authority in file `cluster_store_ca`.
    """

    home: Path
    address: str = "127.0.0.1"
    port: int = 8443
    database: str = ""
    bundle_bytes_max: int = 512 * 1024 * 1024  # a working directory; data belongs into buckets
    body_bytes_max: int = 4 * 1024 * 1024  # any other request: 10,000 lines of YAML are 0.5 MB
    log_bytes_max: int = 64 * 1024 * 1024  # per replica, oldest segments go first
    storage: str = "local"
    cpu_reserved: float = 0.0  # cores kept for the machine's owner
    memory_reserved_bytes: int = 512 * 1024 * 1024  # for the core, HAProxy and the system
    ray_address: str = ""
    cluster_address: str = ""
    cluster_port: int = 6379
    standby: bool = False
    shared: str = ""
    simulated_devices: str = ""
    cluster_store: str = "memory"
    cluster_store_ca: str = ""

    @property
    def shared_folder(self) -> Path:
        """Where blobs, objects, project keys and what runs lie: in the state folder, unless several cores share it."""
        return Path(self.shared).expanduser() if self.shared else self.home

    @property
    def has_lease(self) -> bool:
        """Tell whether the database can say which of several cores leads."""
        return not self.database_url.startswith("sqlite")

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home / 'lepton.db'}"


def default_home(environment: Mapping[str, str] | None = None) -> Path:
    """Return the state folder: LEPTON_HOME, or ~/.lepton."""
    return home_folder(os.environ if environment is None else environment)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raises InvalidInput naming the file or variable and the field that is wrong."""
    env = os.environ if environment is None else environment
    home = default_home(env)
    values: dict[str, object] = {}
    known = {field.name: field for field in fields(Settings) if field.name != "home"}
    for name, value in _read_config(home / CONFIG_FILE).items():
        if name not in known:
            raise InvalidInput(
                f"{home / CONFIG_FILE} sets {name!r}, which is not a setting.",
                hint=f"Known: {', '.join(sorted(known))}.",
            )
        values[name] = _convert(name, value, f"{home / CONFIG_FILE}")
    for name in known:
        if PREFIX + name.upper() in env:
            values[name] = _convert(name, env[PREFIX + name.upper()], PREFIX + name.upper())
    return Settings(home=home, **values)  # type: ignore[arg-type]


def _read_config(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}.", hint="Mend or remove the file.") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", hint="Check its owner and mode.") from error


_BOOLEANS: Mapping[object, bool] = {True: True, "true": True, "1": True, False: False, "false": False, "0": False}


def _boolean(value: object) -> bool:
    try:
        return _BOOLEANS[value]
    except KeyError:
        raise ValueError from None


_CONVERT: Mapping[str, Callable[[Any], Any]] = {"int": int, "float": float, "str": str, "bool": _boolean}
_TAKES: Mapping[str, tuple[type, ...]] = {
    "int": (int, str),
    "float": (int, float, str),
    "str": (str,),
    "bool": (bool, str),
}
_BYTES_MAX = 2**53  # JSON numbers are exact up to here
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "port": (0, 65535),
    "cluster_port": (1024, 65535),
    "bundle_bytes_max": (1, _BYTES_MAX),
    "body_bytes_max": (1, _BYTES_MAX),
    "log_bytes_max": (1, _BYTES_MAX),
    "cpu_reserved": (0, 4096),
    "memory_reserved_bytes": (0, _BYTES_MAX),
}


def _convert(name: str, value: object, source: str) -> object:
    kind = str({field.name: field.type for field in fields(Settings)}[name])
    try:
        # TOML's true and 1.5 are no whole numbers, though Python would make some of them.
        if (isinstance(value, bool) and kind != "bool") or not isinstance(value, _TAKES[kind]):
            raise TypeError
        made = _CONVERT[kind](value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{source}: {name} must be of type {kind}, not {value!r}.") from error
    low, high = _BOUNDS.get(name, (0, 0))
    if name in _BOUNDS and not low <= made <= high:
        raise InvalidInput(f"{source}: {name} must be {low} to {high}, not {value!r}.")
    return made
