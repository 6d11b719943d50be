"""Measures how fast a task is on each class of resource, by short probes that run as jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import ValidationError

from lepton_ai.errors import InvalidInput
from lepton_ai.sdk.advice import Advisor
from lepton_ai.sdk.jobs import Jobs
from lepton_ai.sdk.task_request import TaskRequest, prepare
from lepton_ai.types.probe import REPORT_MARK, SECONDS_MAX, ProbeReport, ProbeResult, Profile, probe_command
from lepton_ai.types.resource_view import ResourceChoice

LOG_BYTES = 65_536  # of the end of a probe's log, in which its report is
STARTING_SECONDS = 60  # beyond the probe itself, until a job that hangs is ended


def profile(jobs: Jobs, advisor: Advisor, request: TaskRequest, seconds: float) -> Profile:
    """Run `request` for at most `seconds` on each class that it can be held to; keep and return what was measured.

    Raises InvalidInput for a function or a time that is out of bounds, Conflict if no node could run the task.
    """
    if not 0 < seconds <= SECONDS_MAX:
        raise InvalidInput(f"A probe of {seconds:g} s is out of bounds.", hint=f"Ask for 1 to {SECONDS_MAX:g} s.")
    if not request.command:
        raise InvalidInput("Only commands can be profiled.", hint="Call the function from a script: python train.py")
    choices = advisor.choices(request)
    probes = [_probe(jobs, advisor, held, request, seconds) for held in _held(request, choices)]
    return Profile(probes=tuple(probes), choices=tuple(advisor.choices(request)))


def _held(request: TaskRequest, choices: Sequence[ResourceChoice]) -> Sequence[TaskRequest]:
    """Return the request once for each class that it can be held to: CPU work takes the class that it is given."""
    resources = prepare(request).spec.resources
    wanted = resources.accelerator
    if wanted is None:
        return [request]
    kinds = [choice.resource_class for choice in choices]
    return [replace(request, resources=resources.replace(accelerator=wanted.replace(kind=kind))) for kind in kinds]


def _probe(jobs: Jobs, advisor: Advisor, held: TaskRequest, request: TaskRequest, seconds: float) -> ProbeResult:
    command = probe_command(prepare(held).spec.command, seconds)
    job = jobs.submit(replace(held, command=command, timeout=seconds + STARTING_SECONDS, labels={"probe": "1"}))
    job.wait()
    report = report_in(str(job.logs(rank=0, tail_bytes=LOG_BYTES)))
    if report is None:
        report = ProbeReport(problem=f"It ended without a report: {job.status.reason}")
    resource_class = job.explain().resource_class
    if report.seconds_per_unit and resource_class:
        advisor.keep_speed(request, resource_class, report)
    return ProbeResult(resource_class=resource_class, job=job.name, report=report)


def report_in(log: str) -> ProbeReport | None:
    """Return the last report in a log, or None if there is none that can be read."""
    lines = [line for line in log.splitlines() if line.startswith(REPORT_MARK)]
    try:
        return ProbeReport.model_validate_json(lines[-1].removeprefix(REPORT_MARK)) if lines else None
    except ValidationError:
        return None
