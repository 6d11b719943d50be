"""Cost limits at work in the whole control plane: stopped at the limit, with all attempts reckoned together."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_ai.kernel.change import update
from lepton_ai.kernel.cost_limits import review
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import machine
from lepton_ai.types.job import Job, JobState
from lepton_ai.types.node import Node
from lepton_ai.types.task import ExitKind, Task, TaskState
from tests.unit.kernel.rig import Rig
from tests.unit.kernel.samples import NOW, later, task

LONG = Behaviour(seconds=10_000).command()
HOURLY = 36.0  # of a machine of 8 CPUs; half of it costs 0.005 a second


def rig(price: float = HOURLY) -> Rig:
    made = Rig(machine("a", threads=8))
    made.work()
    (node,) = made.store.page(Node)
    labels = {"price": f"{price:g}"}
    made.store.commit([update(node.replace(metadata=node.metadata.replace(labels=labels)))], actor="ada")
    made.work()
    return made


def newest(made: Rig, job: Job) -> Task:
    return max(made.tasks(job), key=lambda task: task.spec.attempt)


def half(**more: Any) -> dict[str, Any]:
    return {"resources": {"cpu": 4}, "expected_duration": 10, **more}


def test_a_job_is_stopped_once_it_has_used_up_what_it_may_cost() -> None:
    made = rig()
    made.submit(command=LONG, **half(max_cost=0.2))
    made.work(30)
    assert made.job().status.state is JobState.RUNNING
    made.work(30)
    status = made.job().status
    assert (status.state, status.exit_kind) == (JobState.FAILED, ExitKind.COST_LIMIT)
    assert status.reason.code == "cost_limit"
    assert status.reason.sentence.startswith("It has cost 0.2")
    assert status.reason.sentence.endswith(", and may cost 0.2 in all: it is stopped.")
    assert newest(made, made.job()).spent(made.clock.now()).money == pytest.approx(0.2, abs=0.02)
    assert len(made.tasks(made.job())) == 1


def test_the_cost_of_earlier_attempts_counts() -> None:
    made = rig()
    made.submit(command=Behaviour(seconds=25, exit_code=1).command(), **half(max_cost=0.2, retries={"failed": 5}))
    made.work(70)
    assert newest(made, made.job()).spec.earlier_cost == pytest.approx(0.125, abs=0.01)
    # It took 25 s, so that another attempt is expected to cost 0.125 again, and 0.075 is left.
    assert (made.job().status.state, made.job().status.reason.code) == (JobState.QUEUED, "too_dear")


def test_a_later_attempt_is_stopped_when_all_of_them_together_reach_the_limit() -> None:
    status = {"started_at": NOW, "price_per_hour": 36.0}
    runs = task(state=TaskState.RUNNING, max_cost=1.0, earlier_cost=0.5, status=status)
    assert review([runs], later(40)) == ([], later(50))
    (change,), again_at = review([runs], later(50))
    assert again_at is None
    assert change.object.status.reason.sentence == (
        "It has cost 1, 0.5 of it in earlier attempts, and may cost 1 in all: it is stopped."
    )


def test_one_that_would_cost_too_much_does_not_start_and_says_so() -> None:
    made = rig()
    made.submit(command=LONG, **half(max_cost=0.01))
    made.work(5)
    assert made.job().status.reason.code == "too_dear"
    assert made.job().status.reason.sentence.startswith(
        "0.01 is left of what it may cost; the cheapest that fits, node a"
    )


def test_where_nothing_has_a_price_nothing_is_stopped() -> None:
    made = rig(price=0)
    made.submit(command=LONG, **half(max_cost=0))
    made.work(300)
    assert made.job().status.state is JobState.RUNNING
