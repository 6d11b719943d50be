"""Gives each test a local runtime in an empty folder, and stops whatever it leaves running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lepton_ai.backends.local_runtime import Prepare
from lepton_ai.backends.local_runtime.preparation import prepare_nothing
from lepton_ai.node.limits import Limits
from tests.integration.local_runtime.machine import Machine


@pytest.fixture
def make_machine(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Make runtimes, all in the same folder; whatever still runs at the end is stopped."""
    made: list[Machine] = []

    def make(limits: Limits | None = None, prepare: Prepare = prepare_nothing, log_bytes_max: int = 1 << 20) -> Machine:
        made.append(Machine(tmp_path / "runtime", limits, prepare, log_bytes_max))
        return made[-1]

    yield make
    for machine in made:
        machine.end()


@pytest.fixture
def machine(make_machine: Callable[..., Machine]) -> Machine:
    return make_machine()


@pytest.fixture
def watched_machine(make_machine: Callable[..., Machine]) -> Machine:
    """A machine without control groups."""
    return make_machine(limits=Limits(0, {}, "test"))
