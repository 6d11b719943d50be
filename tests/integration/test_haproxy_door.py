"""The door to HAProxy as the core uses it: from several threads, up to its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton_ai.backends.haproxy.door import HaproxyDoor
from tests.integration.haproxy_rig import Rig, rig_in


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made


@pytest.fixture
def door(rig: Rig) -> HaproxyDoor:
    wanted = rig.desired
    return HaproxyDoor(rig.plane, wanted)


def test_what_is_routed_after_the_end_starts_nothing(rig: Rig, door: HaproxyDoor) -> None:
    door.ensure()
    assert rig.plane.is_running()

    door.stop()
    door.route((), ())
    door.ensure()

    assert rig.plane.pid() is None
