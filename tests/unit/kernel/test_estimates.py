"""What finished tasks teach, kept in the store over restarts, refusals and lost races."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lepton_ai.errors import Conflict
from lepton_ai.kernel.change import create
from lepton_ai.kernel.estimates import Estimates
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.store import LIST_MAX
from lepton_ai.types.base import Metadata
from lepton_ai.types.estimate import EstimateRecord, EstimateSpec, EstimateStatus
from lepton_ai.types.task import ExitKind, Task, TaskState
from tests.unit.kernel.samples import NOW, allocation, finished, later, task


def ran(seconds: float) -> Task:
    return finished(at=seconds).with_status(allocations=(allocation(),))


def learnt(store: Store, *tasks: Task) -> Estimates:
    estimates = Estimates(store)
    for one in tasks:
        estimates.learn_from(one, later(100))
        store.commit(list(estimates.changes()), actor="platform")
    return estimates


def test_nothing_known_is_a_guess(store: Store) -> None:
    assert Estimates(store).expect(task())[""].source == "guessed"


def test_a_task_is_expected_to_take_as_long_as_its_kind_did_on_that_class(store: Store) -> None:
    estimates = learnt(store, *(ran(20) for _ in range(10)))
    expected = estimates.expect(task())["cpu-avx2"]
    assert expected.source == "measured"
    assert expected.median == pytest.approx(20, rel=0.5)


def test_what_was_learnt_outlives_the_core(store: Store) -> None:
    before = learnt(store, *(ran(20) for _ in range(3))).expect(task())
    assert Estimates(store).expect(task()) == before


@pytest.mark.parametrize(
    "teaches_nothing",
    [
        task(state=TaskState.RUNNING),
        finished(outcome=ExitKind.FAILED),
        finished(is_service=True),
        finished().with_status(started_at=None),
    ],
)
def test_only_work_that_succeeded_teaches(store: Store, teaches_nothing: Task) -> None:
    estimates = Estimates(store)
    estimates.learn_from(teaches_nothing, later(100))
    assert list(estimates.changes()) == []


def test_learning_goes_on_after_a_commit_that_failed(store: Store) -> None:
    estimates = learnt(store, ran(20))
    estimates.learn_from(ran(20), later(100))
    estimates.changes()  # never committed
    estimates.forget()
    estimates.learn_from(ran(20), later(100))
    assert store.commit(list(estimates.changes()), actor="platform", strict=False).conflicts == []


def test_a_version_that_ran_ahead_of_the_store_is_refused(store: Store) -> None:
    """What `forget` is for: without it, nothing would be learnt until the core is started again."""
    estimates = learnt(store, ran(20))
    estimates.learn_from(ran(20), later(100))
    estimates.changes()
    estimates.learn_from(ran(20), later(100))
    with pytest.raises(Conflict):
        store.commit(list(estimates.changes()), actor="platform")


def test_more_kinds_of_tasks_than_fit_on_one_page_are_all_remembered(store: Store) -> None:
    records = [_record(number) for number in range(LIST_MAX + 1)]
    store.commit([create(record) for record in records], actor="platform")
    estimates = Estimates(store)
    for kind in ("kind-0", f"kind-{LIST_MAX}"):
        assert estimates.expect(task(task_kind=kind))[""].source != "guessed"


def test_a_record_is_updated_and_not_made_again(store: Store) -> None:
    estimates = Estimates(store)
    estimates.learn_from(ran(20), later(100))
    made = store.commit(list(estimates.changes()), actor="platform").objects
    estimates.learn_from(ran(30), later(200))
    changes = list(estimates.changes())
    assert {change.verb for change in changes} == {"update"}
    assert {change.object.id for change in changes} == {record.id for record in made}


def test_records_from_before_there_were_life_tables_still_tell(store: Store) -> None:
    store.commit([create(_record(1))], actor="platform")
    assert Estimates(store).expect(task(task_kind="kind-1"))[""].median == pytest.approx(20, rel=0.2)


def test_how_true_statements_were_outlives_the_core(store: Store) -> None:
    hour = timedelta(hours=1)
    new = task(task_kind="eve/new", expected_duration=hour)
    first = Estimates(store).expect(new)[""].median
    kinds = [f"ada/{name}" for name in "abcde"]
    learnt(store, *(finished(at=20, task_kind=kind, expected_duration=hour) for kind in kinds))
    assert Estimates(store).expect(new)[""].median < first / 3


def test_tasks_that_run_as_the_core_starts_count_for_what_they_have_outlived(store: Store) -> None:
    estimates = learnt(store, *(ran(20) for _ in range(5)))
    running = task(state=TaskState.RUNNING, status={"started_at": NOW})
    store.commit([create(running)], actor="platform")
    with_it = Estimates(store)
    now = later(90_000)
    assert with_it.remaining(running, now).mean > estimates.remaining(running, now).mean


def test_what_is_still_to_come_grows_once_a_task_is_late(store: Store) -> None:
    estimates = learnt(store, *(ran(20) for _ in range(10)))
    late = task(state=TaskState.RUNNING, status={"started_at": NOW})
    left = [estimates.remaining(late, later(at)).p80 for at in (30, 300, 3000)]
    assert left == sorted(left)


def _record(number: int) -> EstimateRecord:
    return EstimateRecord(
        metadata=Metadata(id=f"estimate-{number:05}", name=f"e{number}", project=PLATFORM_PROJECT),
        spec=EstimateSpec(task_kind=f"default/kind-{number}", resource_class=""),
        status=EstimateStatus(count=10, mean_log=3.0, variance_log=0.01),
    )
