"""Gives each test a platform of its own, and ends everything that it left."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.rig import Platform


@pytest.fixture
def make_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Platform]]:
    """Make platforms that have not started yet, each with a folder of its own."""
    made: list[Platform] = []

    def make(**settings: str) -> Platform:
        # Short, because the data plane's sockets lie in it.
        made.append(Platform(tmp_path_factory.mktemp("f") / "home", **settings))
        return made[-1]

    yield make
    for platform in made:
        platform.end()


@pytest.fixture
def platform(make_platform: Callable[..., Platform]) -> Platform:
    """A platform that runs."""
    made = make_platform()
    made.start()
    return made
