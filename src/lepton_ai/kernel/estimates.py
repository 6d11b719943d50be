"""What finished tasks teach about the next of their kind; kept in the store, read by the scheduler."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from lepton_ai.kernel.change import Change, create, update
from lepton_ai.kernel.identifiers import new_id
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.scheduling.estimate import Estimate, expect, learn
from lepton_ai.kernel.scheduling.snapshot import Expectation
from lepton_ai.kernel.store import Store
from lepton_ai.types.base import AnyObject, Metadata
from lepton_ai.types.estimate import EstimateRecord, EstimateSpec, EstimateStatus
from lepton_ai.types.task import ExitKind, Task

ANY = ""  # the key part for "over all classes" and "over all kinds"


class Estimates:
    """Estimates by (task kind, resource class), by task kind, and over everything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[str, dict[str, EstimateRecord]] = {}
        self._is_loaded = False
        self._learnt: set[tuple[str, str]] = set()

    def expect(self, task: Task) -> Mapping[str, Expectation]:
        """Return how long `task` is expected to run, by resource class; "" stands for classes not named."""
        self._load()
        kind = self._records.get(_kind(task), {})
        own = {name: _estimate(record) for name, record in kind.items() if name != ANY}
        overall = self._records.get(ANY, {}).get(ANY)
        of_kind = kind.get(ANY)
        return expect(
            task.spec.expected_duration,
            own,
            _estimate(of_kind) if of_kind else None,
            _estimate(overall) if overall else None,
        )

    def learn_from(self, thing: AnyObject, now: datetime) -> None:
        """Take note of how long a task took, once it has succeeded."""
        if not isinstance(thing, Task) or thing.status.outcome is not ExitKind.SUCCEEDED or thing.spec.is_service:
            return
        if thing.status.started_at is None or thing.status.finished_at is None:
            return
        self._load()
        seconds = (thing.status.finished_at - thing.status.started_at).total_seconds()
        for key in ((_kind(thing), thing.status.allocations[0].resource_class), (_kind(thing), ANY), (ANY, ANY)):
            self._learn(key, seconds, now)

    def changes(self) -> Sequence[Change]:
        """Return the changes that store what was learnt since the last call: one for each estimate touched."""
        learnt, self._learnt = self._learnt, set()
        changes = []
        for kind, resource_class in sorted(learnt):
            record = self._records[kind][resource_class]
            changes.append(update(record) if record.metadata.version else create(record))
            # The store raises the version; ours must follow for the next update to be accepted.
            metadata = record.metadata.replace(version=record.metadata.version + 1)
            self._records[kind][resource_class] = record.replace(metadata=metadata)
        return changes

    def forget(self) -> None:
        """Read everything anew when it is next needed: the changes were not stored, so that what is here is wrong."""
        self._is_loaded = False

    def _learn(self, key: tuple[str, str], seconds: float, now: datetime) -> None:
        before = self._records.get(key[0], {}).get(key[1])
        learnt = learn(_estimate(before) if before else None, seconds)
        status = EstimateStatus(count=learnt.count, mean_log=learnt.mean_log, variance_log=learnt.variance_log)
        name = hashlib.sha256("\0".join(key).encode()).hexdigest()[:40]
        made = before or EstimateRecord(
            metadata=Metadata(id=new_id("estimate", now), name=name, project=PLATFORM_PROJECT),
            spec=EstimateSpec(task_kind=key[0], resource_class=key[1]),
        )
        self._records.setdefault(key[0], {})[key[1]] = made.replace(status=status)
        self._learnt.add(key)

    def _load(self) -> None:
        if self._is_loaded:
            return
        records: dict[str, dict[str, EstimateRecord]] = {}
        last = ""
        while page := self._store.page(EstimateRecord, PLATFORM_PROJECT, before=last):
            for record in page:
                records.setdefault(record.spec.task_kind, {})[record.spec.resource_class] = record
            last = page[-1].id
        self._records, self._is_loaded = records, True


def _kind(task: Task) -> str:
    return f"{task.project}/{task.spec.task_kind}"


def _estimate(record: EstimateRecord) -> Estimate:
    return Estimate(record.status.count, record.status.mean_log, record.status.variance_log)
