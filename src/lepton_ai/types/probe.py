"""A probe: a short run of a program that measures its speed on one class of resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from lepton_ai.types.base import Model
from lepton_ai.types.resource_view import ResourceChoice

PROBE_MODULE = "lepton_ai.node.probe_runner"
REPORT_MARK = "lepton-probe: "  # a line of the log that begins with this holds a ProbeReport as JSON
SECONDS_MAX = 3600.0  # of one probe


class ProbeReport(Model):
    """What a probe found. `unit` is "step" where the program told its progress, else "run" for all of it.

    `seconds_per_unit` is 0 if nothing could be measured; `problem` then says why. `is_whole` if the program ran to its
    end, which then took `seconds`.
    """

    unit: str = "run"
    seconds_per_unit: Annotated[float, Field(ge=0, le=3.2e9)] = 0.0
    units: Annotated[float, Field(ge=0)] = 0.0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    exit_code: int = 0
    is_whole: bool = False
    problem: str = ""


class ProbeResult(Model):
    """What one probe told of the class of resource that it ran on."""

    resource_class: str
    job: str = ""
    report: ProbeReport = ProbeReport()


class Profile(Model):
    """What `lepton profile` found: a probe for each class that could be asked for, and the table that follows."""

    probes: tuple[ProbeResult, ...] = ()
    choices: tuple[ResourceChoice, ...] = ()


def probe_command(command: Sequence[str], seconds: float) -> tuple[str, ...]:
    """Return the command that runs `command` for at most `seconds` and reports its speed."""
    return ("python", "-m", PROBE_MODULE, f"{seconds:g}", "--", *command)


def is_probe(command: Sequence[str]) -> bool:
    """Tell whether a command is a probe: how long those take says nothing."""
    return len(command) > 2 and tuple(command[1:3]) == ("-m", PROBE_MODULE)
