"""The gatekeeper while it reads what is new: whoever comes meanwhile waits, rather than be judged by what is old."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from lepton_ai.kernel.auth import Gatekeeper
from lepton_ai.kernel.change import Seen
from lepton_ai.types.identity import Role
from tests.unit.api.platform import Platform

WAIT_SECONDS_MAX = 10.0


class HeldStore:
    """The platform's store, whose change feed can be held up."""

    def __init__(self, platform: Platform) -> None:
        self._store = platform.store
        self.on_change = platform.store.on_change
        self.revision = platform.store.revision
        self.page = platform.store.page
        self.is_reading = threading.Event()
        self.may_go_on = threading.Event()

    def changes(self, since: int, *, kinds: Collection[str] = (), project: str | None = None) -> Sequence[Seen]:
        self.is_reading.set()
        assert self.may_go_on.wait(WAIT_SECONDS_MAX)
        return self._store.changes(since, kinds=kinds, project=project)


def test_a_token_that_was_just_made_is_known_to_a_request_that_comes_while_another_reads(platform: Platform) -> None:
    store = HeldStore(platform)
    gatekeeper = Gatekeeper(store, platform.clock)  # type: ignore[arg-type]  # the part of a store that it uses
    token = platform.user("ada", {"default": Role.VIEWER})
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(gatekeeper.caller, platform.admin)
        assert store.is_reading.wait(WAIT_SECONDS_MAX)
        second = pool.submit(gatekeeper.caller, token)
        store.may_go_on.set()
        assert (first.result(WAIT_SECONDS_MAX).user, second.result(WAIT_SECONDS_MAX).user) == ("admin", "ada")


def test_what_is_committed_while_it_reads_is_read_next(platform: Platform) -> None:
    store = HeldStore(platform)
    gatekeeper = Gatekeeper(store, platform.clock)  # type: ignore[arg-type]  # the part of a store that it uses
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gatekeeper.caller, platform.admin)
        assert store.is_reading.wait(WAIT_SECONDS_MAX)
        token = platform.user("ada", {"default": Role.VIEWER})
        store.may_go_on.set()
        assert first.result(WAIT_SECONDS_MAX).user == "admin"
    assert gatekeeper.caller(token).roles == {"default": Role.VIEWER}
