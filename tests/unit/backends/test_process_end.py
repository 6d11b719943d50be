"""The end of a process is noticed, however many files are open here."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator

import pytest

from lepton_ai.backends.process_end import await_end

FD_SETSIZE = 1024  # what select(2) takes at most


@pytest.fixture
def many_open_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FD_SETSIZE * 2), max(hard, FD_SETSIZE * 2)))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(FD_SETSIZE)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_open_files")
@pytest.mark.timeout(30)
def test_the_end_of_a_process_is_noticed_among_a_thousand_open_files() -> None:
    process = subprocess.Popen(["sleep", "0.1"])
    await_end(process.pid)
    assert process.wait(0) == 0


def test_the_end_of_one_that_is_long_gone_is_noticed_at_once() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    await_end(process.pid)
