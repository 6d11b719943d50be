"""What one run of the command line knows: the form of output, and how to reach the platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lepton_ai.sdk.client import LeptonAI


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


def _open(instance: str, token: str, project: str) -> LeptonAI:
    from lepton_ai.sdk.client import LeptonAI  # Here, since help and usage errors must not wait for httpx and pydantic.

    return LeptonAI(instance, token, project=project)


@dataclass
class Session:
    """`open` is where a test gives a client of its own: `invoke(app, [...], obj=Session(open=...))`."""

    open: Callable[[str, str, str], LeptonAI] = _open
    output: Output = Output.TABLE
    instance: str = ""
    project: str = ""

    def connect(self) -> LeptonAI:
        """Return the client for the chosen instance and project; raises LeptonError if there is no such profile."""
        return self.open(self.instance, "", self.project)

    @property
    def is_json(self) -> bool:
        return self.output is Output.JSON


def session_of(context: typer.Context) -> Session:
    """Return the session that the root command made, or that a test gave."""
    found = context.find_root().obj
    assert isinstance(found, Session)
    return found
