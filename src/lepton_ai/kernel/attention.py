"""Which tasks a pass looks at: those on their way, and those about which something changed since the last look."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from lepton_ai.kernel.world import World
from lepton_ai.types.task import Replica, Task


class Attention:
    """What becomes of a task follows from the task, its replicas and whether its nodes live; from nothing else.

    So a task that runs, and of which none of these changed, is as well as it was. What is on its way is looked at in
    each pass, because orders get lost; and everything now and then, because so may news.
    """

    def __init__(self) -> None:
        self._touched: set[str] = set()
        self._is_for_all = True
        self._seen: Mapping[str, Replica] = {}
        self._nodes: frozenset[str] = frozenset()

    def touch(self, object_ids: Iterable[str]) -> None:
        """Look at these in the next pass; ids of other things than tasks do no harm."""
        self._touched.update(object_ids)

    def look_at_all(self) -> None:
        """Look at every task in the next pass."""
        self._is_for_all = True

    def due(self, world: World, seen: Mapping[str, Replica], nodes: Collection[str]) -> Sequence[Task]:
        """Return the tasks to look at, given what the runtime sees now, in one order."""
        before, self._seen = self._seen, seen
        touched, self._touched = self._touched, set()
        names, is_for_all = frozenset(nodes), self._is_for_all
        if is_for_all or names != self._nodes:
            self._nodes, self._is_for_all = names, False
            return list(world.all(Task))
        holders = world.index.holders
        news = [one for one, replica in seen.items() if before.get(one) is not replica and before.get(one) != replica]
        for replica_id in (*news, *(before.keys() - seen.keys())):
            if replica_id in holders:
                touched.add(holders[replica_id])
        found = (world.get(Task, object_id) for object_id in sorted(touched | world.index.moving.keys()))
        return [task for task in found if task is not None and not task.is_final()]
