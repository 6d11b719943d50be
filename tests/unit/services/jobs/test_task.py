"""The task of a job's attempt carries everything that its replicas need."""

from __future__ import annotations

from datetime import timedelta

from lepton_ai.services.jobs.task import FUNCTION_COMMAND, task_for
from tests.unit.kernel.samples import NOW
from tests.unit.services.jobs.samples import job

DIGEST = "sha256:" + "0" * 64


def test_a_task_tells_its_program_which_index_of_which_job_it_is() -> None:
    env = task_for(job(array=3, env={"MODE": "fast"}), 2, None, NOW).spec.program.env
    assert env["MODE"] == "fast"
    assert (env["LEPTON_JOB_NAME"], env["LEPTON_ARRAY_INDEX"], env["LEPTON_ARRAY_SIZE"]) == ("train", "2", "3")


def test_a_function_runs_under_the_runner_with_its_pickled_call() -> None:
    program = task_for(job(command=(), function=DIGEST), 0, None, NOW).spec.program
    assert (program.command, program.call) == (FUNCTION_COMMAND, DIGEST)


def test_limits_and_wishes_are_passed_on() -> None:
    spec = task_for(job(replicas=4, priority=90, timeout="10m", expected_duration="5m"), 0, None, NOW).spec
    assert (spec.size, spec.priority) == (4, 90)
    assert (spec.program.timeout, spec.expected_duration) == (timedelta(minutes=10), timedelta(minutes=5))
