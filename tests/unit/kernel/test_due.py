"""Moments by which jobs are due, and first replicas, in the whole control plane."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from lepton_ai.kernel.queue import FIRST, weight_of
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import machine
from lepton_ai.types.quantity import Due
from tests.unit.kernel.rig import Rig

LONG = Behaviour(seconds=10_000).command()
WHOLE = {"cpu": 8}


def test_a_job_that_is_due_soon_starts_before_one_that_came_earlier() -> None:
    made = Rig(machine("a", threads=8))
    made.submit("holder", command=Behaviour(seconds=30).command(), resources=WHOLE, expected_duration=30)
    made.work(1)
    made.submit("early", command=LONG, resources=WHOLE, expected_duration=600)
    made.submit("due", command=LONG, resources=WHOLE, expected_duration=600, due="10m")
    made.work(5)
    assert made.tasks(made.job("due"))[0].status.reason.sentence.endswith(" after it is due")
    made.work(60)
    task = made.tasks(made.job("due"))[0]
    assert task.status.allocations
    assert task.status.terms["urgency"] == pytest.approx(16.0)
    assert not made.tasks(made.job("early"))[0].status.allocations


def test_so_long_counts_from_the_submission_and_a_moment_is_a_moment() -> None:
    made = Rig()
    submitted = made.clock.now()
    made.submit("one", due="2h")
    made.submit("other", due="2030-05-01T18:00Z")
    made.work(1)
    assert made.tasks(made.job("one"))[0].spec.due_at == submitted + timedelta(hours=2)
    assert made.tasks(made.job("other"))[0].spec.due_at == datetime.fromisoformat("2030-05-01T18:00:00+00:00")


@pytest.mark.parametrize("value", ["2030-05-01T18:00", "2030-13-01T18:00Z", "soon", True, -1])
def test_what_is_no_moment_and_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match=r"no moment|time zone|duration|out of range"):
        TypeAdapter(Due).validate_python(value)


def test_it_travels_as_json_and_back() -> None:
    adapter: TypeAdapter[timedelta | datetime] = TypeAdapter(Due)
    for value in ("2h", "2030-05-01T18:00Z"):
        read = adapter.validate_python(value)
        assert adapter.validate_json(adapter.dump_json(read)) == read


def test_the_first_replica_of_an_endpoint_weighs_more_than_the_next() -> None:
    made = Rig(machine("a", threads=8))
    made.serve(replicas=2, resources={"cpu": 4})
    made.work(1)
    first, second = sorted(made.tasks(made.endpoint()), key=lambda task: task.spec.attempt)
    assert weight_of(first) == FIRST * weight_of(second)
