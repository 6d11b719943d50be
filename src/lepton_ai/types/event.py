"""What happened: events for users, audit records for those who answer for the platform."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime

from lepton_ai.types.base import Model


class Event(Model):
    """One thing that happened to one object. `seq` grows by commit order and serves as a cursor."""

    seq: int = 0
    at: AwareDatetime
    project: str
    kind: str
    object_id: str
    object_name: str
    code: str
    sentence: str
    actor: str


class Outcome(StrEnum):
    ALLOWED = "allowed"
    DENIED = "denied"


class AuditRecord(Model):
    """One request that changed something or was refused: who, from where, what, on which object."""

    seq: int = 0
    at: AwareDatetime
    actor: str
    address: str
    operation: str
    project: str
    object_kind: str = ""
    object_name: str = ""
    outcome: Outcome
    detail: str = ""
    request_id: str = ""
