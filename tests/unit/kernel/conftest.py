"""Fixtures for the tests of the kernel."""

from __future__ import annotations

import pytest

from lepton_ai.kernel.store import Store
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import KERNEL_KINDS, empty_engine
from lepton_ai.types.job import Job


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Store:
    """A store on a database in memory."""
    return Store(empty_engine(), clock, (*KERNEL_KINDS, Job))
