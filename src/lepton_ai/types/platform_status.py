"""How the platform is: the answer of `lepton status`; and who asks: the answer of `whoami`."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import AwareDatetime

from lepton_ai.types.base import Model
from lepton_ai.types.identity import Role


class CoreStatus(Model):
    """The core process."""

    pid: int
    started_at: AwareDatetime
    state: str = "ready"


class DataPlaneStatus(Model):
    """What carries requests to endpoints. `detail` says why, where it is not ready."""

    state: str = ""
    detail: str = ""


class PlatformCounts(Model):
    nodes: int = 0
    tasks_waiting: int = 0
    tasks_running: int = 0


class LeaseStatus(Model):
    """Who leads of several cores on one database: the address, the number of the reign, and how long it holds."""

    epoch: int
    leader: str
    seconds_left: float


class PlatformStatus(Model):
    """The platform at one glance. `home` is the state folder on the core's machine; SQLite needs no `lease`."""

    url: str
    version: str
    core: CoreStatus
    data_plane: DataPlaneStatus = DataPlaneStatus()
    database: str = ""
    services: tuple[str, ...] = ()
    counts: PlatformCounts = PlatformCounts()
    home: str = ""
    lease: LeaseStatus | None = None


class Identity(Model):
    """For whom a token speaks, and which role they hold in which project ("*": everywhere)."""

    user: str
    roles: Mapping[str, Role] = {}
