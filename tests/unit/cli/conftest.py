"""What the tests of the command line share."""

from __future__ import annotations

import pytest

from tests.unit.sdk.fake_platform import FakePlatform


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()
