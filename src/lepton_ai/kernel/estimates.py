"""What finished tasks teach about the next of their kind; kept in the store, read by the scheduler."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from lepton_ai.kernel.change import Change, create, update
from lepton_ai.kernel.identifiers import new_id
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.scheduling.estimate import Estimate, learn
from lepton_ai.kernel.scheduling.experience import Course, Experience, Key
from lepton_ai.kernel.scheduling.life_table import BINS, Lives, log_normal
from lepton_ai.kernel.scheduling.life_table import learn as learn_life
from lepton_ai.kernel.scheduling.snapshot import Expectation
from lepton_ai.kernel.scheduling.speeds import Speed
from lepton_ai.kernel.scheduling.statement import Honesty
from lepton_ai.kernel.sizing import peak_bytes
from lepton_ai.kernel.store import Store
from lepton_ai.types.base import AnyObject, Metadata
from lepton_ai.types.estimate import EstimateRecord, EstimateSpec, EstimateStatus
from lepton_ai.types.node import Hardware
from lepton_ai.types.probe import is_probe
from lepton_ai.types.task import ExitKind, Task, TaskState

ANY = ""  # the key part for "over all classes" and "over all kinds"
PEAKS = "*memory"  # in place of a class: peaks of memory, in MB
TELLS_PEAK = frozenset({ExitKind.SUCCEEDED, ExitKind.OUT_OF_MEMORY})
STATED: Key = ("*/stated", ANY)  # how far stated lengths were from the truth; no project's name begins with *


class Estimates:
    """Estimates by (task kind, resource class), by task kind, by entry point, by size, and over everything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[Key, EstimateRecord] = {}
        self._probes: dict[tuple[str, str, str], EstimateRecord] = {}  # by kind, class and unit
        self._experience = Experience()
        self._is_loaded = False
        self._is_first = True
        self._is_stale = False
        self._learnt: set[Key] = set()
        self._now = 0.0

    def expect(self, task: Task) -> Mapping[str, Expectation]:
        """Return how long `task` is expected to run, by resource class; "" stands for classes not named."""
        known, course = self._known(), course_of(task)
        classes = dict.fromkeys((ANY, *known.classes_of(course.kind), *self._alike(task)))
        return {name: known.expect(course, name, self._now) for name in classes}

    def see(self, nodes: Iterable[Hardware]) -> None:
        """Take note of the classes of resource that there are."""
        self._experience.fleet = tuple(sorted({name for one in nodes for name in one.resource_classes()}))

    @property
    def has_seen(self) -> bool:
        """Tell whether it knows of any class of resource."""
        return bool(self._experience.fleet)

    def speeds(self, task: Task, classes: Iterable[str]) -> Mapping[str, Speed]:
        """Return how fast `task` would be on each of `classes`: measured, inferred or guessed."""
        return self._known().table(course_of(task), classes)

    def probed(self, task: Task, resource_class: str, unit: str, seconds: float) -> Change:
        """Return the change that stores what one unit of such a task took on that class; call `reread` after it."""
        key, now = (course_of(task).kind, resource_class, unit), task.metadata.created_at
        self._known()
        before = self._probes.get(key)
        runs = learn(_runs(before.status) if before else None, seconds)
        status = EstimateStatus(count=runs.count, mean_log=runs.mean_log, variance_log=runs.variance_log)
        if before is not None:
            return update(before.replace(status=status))
        assert now is not None, "a trial is made now"
        return create(_record(key, now).replace(status=status))

    def ran(self, task: Task, resource_class: str, seconds: float) -> Sequence[Change]:
        """Return the changes that store that such a task took so long on that class; call `reread` after them.

        They are read from the store, and not from what is known here, which the loop may be changing.
        """
        now = task.metadata.created_at
        assert now is not None, "a trial is made now"
        return [self._one_more(key, seconds, now) for key in course_of(task).keys(resource_class)]

    def _one_more(self, key: Key, seconds: float, now: datetime) -> Change:
        made = _record((*key, ANY), now)
        before = self._store.look_up(EstimateRecord, PLATFORM_PROJECT, made.metadata.name)
        runs = learn(_runs(before.status) if before else None, seconds)
        status = _status(runs, learn_life(_lives(before.status) if before else None, seconds))
        return update(before.replace(status=status)) if before else create(made.replace(status=status))

    def reread(self) -> None:
        """Read everything anew as soon as nothing is left to be stored. Safe from any thread."""
        self._is_stale = True

    def remaining(self, task: Task, now: datetime) -> Expectation:
        """Return what is still to come of a task that runs, given for how long it has run."""
        self._now = max(self._now, now.timestamp())
        elapsed = (now - (task.status.started_at or now) + task.spec.done).total_seconds()
        return self._known().expect(course_of(task), _class_of(task), self._now, elapsed)

    def peak_bytes(self, task: Task) -> int:
        """Return how much memory such tasks needed at their peaks, 95 of 100 of them; 0 if too few have ended."""
        self._known()
        record = self._records.get((course_of(task).kind, PEAKS))
        return peak_bytes(_runs(record.status) if record else None)

    def learn_from(self, thing: AnyObject, now: datetime) -> None:
        """Take note of a task that began or ended; how long it took teaches something once it has succeeded."""
        if not isinstance(thing, Task) or thing.spec.is_service or is_probe(thing.spec.program.command):
            return
        self._now = max(self._now, now.timestamp())
        status = thing.status
        if status.state is TaskState.RUNNING:
            _began(self._known(), thing)
        if not thing.is_final():
            return
        self._known().ended(thing.id)
        if status.started_at is None or status.finished_at is None:
            return
        if status.outcome in TELLS_PEAK:
            self._learn_peak(thing, now)
        if status.outcome is ExitKind.SUCCEEDED:
            self._learn(thing, (status.finished_at - status.started_at + thing.spec.done).total_seconds(), now)

    def changes(self) -> Sequence[Change]:
        """Return the changes that store what was learnt since the last call: one for each estimate touched."""
        learnt, self._learnt = self._learnt, set()
        changes = []
        for key in sorted(learnt):
            record = self._records[key]
            changes.append(update(record) if record.metadata.version else create(record))
            # The store raises the version; ours must follow for the next update to be accepted.
            self._records[key] = record.replace(metadata=record.metadata.replace(version=record.metadata.version + 1))
        return changes

    def forget(self) -> None:
        """Read everything anew when it is next needed: the changes were not stored, so that what is here is wrong."""
        self._is_loaded = False

    def _alike(self, task: Task) -> Sequence[str]:
        """Return the classes of the sort that the task asks for, if there is a choice."""
        wants_device = task.spec.resources.accelerator is not None
        alike = [name for name in self._experience.fleet if name.startswith("cpu") != wants_device]
        return alike if len(alike) > 1 else []

    def _learn(self, task: Task, seconds: float, now: datetime) -> None:
        known, course, resource_class = self._known(), course_of(task), _class_of(task)
        for key in known.learn(course, resource_class, seconds):
            before = self._records.get(key)
            runs = learn(_runs(before.status) if before else None, seconds)
            self._keep(key, _status(runs, known.lives[key]), now)
            if key[1]:
                known.speeds.note((key[0], ANY), key[1], runs)
        if course.stated_seconds:
            honesty = known.honesty
            mean_square = honesty.squares / honesty.count if honesty.count else 0.0
            self._keep(STATED, EstimateStatus(count=honesty.count, variance_log=mean_square), now)

    def _learn_peak(self, task: Task, now: datetime) -> None:
        """Learn how much memory a task needed; one that ran out of it needed what it had at least."""
        self._known()
        peak = max((one.exit.peak_memory_bytes for one in task.status.replicas if one.exit), default=0)
        if task.status.outcome is ExitKind.OUT_OF_MEMORY:
            peak = max(peak, task.spec.resources.memory)
        if peak > 0:
            key = (course_of(task).kind, PEAKS)
            before = self._records.get(key)
            runs = learn(_runs(before.status) if before else None, peak / 1e6)
            status = EstimateStatus(count=runs.count, mean_log=runs.mean_log, variance_log=runs.variance_log)
            self._keep(key, status, now)

    def _keep(self, key: Key, status: EstimateStatus, now: datetime) -> None:
        made = self._records.get(key) or _record((*key, ANY), now)
        self._records[key] = made.replace(status=status)
        self._learnt.add(key)

    def _known(self) -> Experience:
        if self._is_loaded and not (self._is_stale and not self._learnt):
            return self._experience
        self._is_stale = False
        records: dict[tuple[str, str, str], EstimateRecord] = {}
        last = ""
        while page := self._store.page(EstimateRecord, PLATFORM_PROJECT, before=last):
            records |= {(one.spec.task_kind, one.spec.resource_class, one.spec.unit): one for one in page}
            last = page[-1].id
        runs = {key[:2]: record for key, record in records.items() if not key[2]}
        stated = runs[STATED].status if STATED in runs else EstimateStatus()
        lives = {key: _lives(one.status) for key, one in runs.items() if key != STATED and key[1] != PEAKS}
        self._experience.replace(lives, Honesty(stated.count, stated.count * stated.variance_log))
        for (kind, name, unit), record in records.items():
            if name and name != PEAKS:
                self._experience.speeds.note((kind, unit), name, _runs(record.status))
        self._probes = {key: record for key, record in records.items() if key[2]}
        self._records, self._is_loaded = runs, True
        if self._is_first:
            self._is_first = False
            self._see_who_runs()
        return self._experience

    def _see_who_runs(self) -> None:
        """Read once who runs already; afterwards each beginning and end is told."""
        last = ""
        while tasks := self._store.page(Task, before=last, live_only=True):
            for task in tasks:
                _began(self._experience, task)
            last = tasks[-1].id


def course_of(task: Task) -> Course:
    """Return what a task is known by: all tasks, those of its size, those with its entry point, its user's of these."""
    stated, wanted = task.spec.expected_duration, task.spec.resources.accelerator
    devices = task.spec.size * wanted.count if wanted else 0
    program = task.spec.task_kind.split("/", maxsplit=1)[-1]  # what comes before is the user
    wider = (ANY, f"*/{devices} devices", f"{task.project}/*/{program}")
    seconds = stated.total_seconds() if stated is not None else 0.0
    return Course(f"{task.project}/{task.spec.task_kind}", wider, seconds)


def _record(key: tuple[str, str, str], now: datetime) -> EstimateRecord:
    text = "\0".join(key) if key[2] else "\0".join(key[:2])
    return EstimateRecord(
        metadata=Metadata(
            id=new_id("estimate", now), name=hashlib.sha256(text.encode()).hexdigest()[:40], project=PLATFORM_PROJECT
        ),
        spec=EstimateSpec(task_kind=key[0], resource_class=key[1], unit=key[2]),
    )


def _began(known: Experience, task: Task) -> None:
    status = task.status
    if status.state is TaskState.RUNNING and status.started_at is not None and not task.spec.is_service:
        known.began(task.id, course_of(task), _class_of(task), status.started_at.timestamp())


def _class_of(task: Task) -> str:
    return task.status.allocations[0].resource_class if task.status.allocations else ANY


def _runs(status: EstimateStatus) -> Estimate:
    return Estimate(status.count, status.mean_log, status.variance_log)


def _lives(status: EstimateStatus) -> Lives:
    """Return the life table of a record; one from before there were tables is read as log-normal."""
    if status.ended or not status.count > 0:
        return Lives(tuple((number, count) for number, count in status.ended if number < BINS))
    shares = log_normal(status.mean_log, math.sqrt(max(status.variance_log, 0.0))) * status.count
    return Lives(tuple((number, share) for number, share in enumerate(shares.tolist()) if share > 0.001))


def _status(runs: Estimate, lives: Lives) -> EstimateStatus:
    return EstimateStatus(
        count=runs.count,
        mean_log=runs.mean_log,
        variance_log=runs.variance_log,
        ended=lives.ended,
    )
