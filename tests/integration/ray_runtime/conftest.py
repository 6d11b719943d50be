"""One Ray cluster for all tests of a test process, and a runtime on it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton_ai.testing.ray_cluster import LocalRayCluster, entry

# Ray reads these when it is imported, which other tests of the same process may do first.
FOLDER = Path(tempfile.mkdtemp(prefix="lepton-ray-"))  # short: a socket's path has 107 bytes at most
os.environ.update(entry(FOLDER))


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalRayCluster]:
    made = LocalRayCluster(FOLDER)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(FOLDER, ignore_errors=True)
