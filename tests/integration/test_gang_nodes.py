"""A gang over two machines: PyTorch trains as one process does, and a rank that is lost takes the whole gang anew."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lepton_ai.testing.namespaces import why_not
from tests.integration.cluster_rig import SECONDS_MAX, Station, stations
from tests.integration.local_runtime.machine import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

EXAMPLE = Path(__file__).parents[2] / "examples" / "ddp"
TWO_BY_TWO = ("--nodes", "2", "--replicas-per-node", "2", "--cpu", "0.5")
WAIT_ONCE = (
    "echo $LEPTON_ATTEMPT $RANK $MASTER_PORT $$ $NODE_RANK $GLOO_SOCKET_IFNAME; "
    "[ $LEPTON_ATTEMPT = 2 ] || exec sleep 1000"
)


@pytest.fixture(scope="module")
def core() -> Iterator[Station]:
    with stations(2) as (first, second):
        done = first.lepton("up", "--cluster")
        assert done.returncode == 0, done.stderr
        second.ensure_joined(first, "--name", "beta")
        wait_for(lambda: first.state_of("beta") == "ready")
        yield first


def final_loss(told: str) -> float:
    """Return the last loss that was printed."""
    return float(re.findall(r"loss: ([0-9.]+)", told)[-1])


def test_training_over_two_nodes_reaches_the_loss_of_one_process(core: Station) -> None:
    words = ["train.py", "--epochs", "3"]
    alone = subprocess.run(
        [sys.executable, *words], cwd=EXAMPLE, capture_output=True, text=True, timeout=SECONDS_MAX, check=True
    )

    gang = core.lepton("run", "--workdir", str(EXAMPLE), *TWO_BY_TWO, "--memory", "1GB", "--", "python", *words)

    assert gang.returncode == 0, gang.stdout + gang.stderr
    assert "Epoch 3 on 4 ranks" in gang.stdout
    assert final_loss(gang.stdout) == pytest.approx(final_loss(alone.stdout), abs=1e-4)


def test_a_gang_that_loses_a_rank_starts_anew_and_leaves_none_behind(core: Station) -> None:
    options = ("--workdir", "none", "--detach", "--name", "lossy", "--retries", "1", "--memory", "50MB")
    assert core.lepton("run", *options, *TWO_BY_TWO, "--", "sh", "-c", WAIT_ONCE).returncode == 0
    wait_for(lambda: len(said(core)) == 4)
    first = said(core)
    os.kill(int(first[2][3]), signal.SIGKILL)

    wait_for(lambda: core.told("job", "get", "lossy")["status"]["state"] == "succeeded")

    second = said(core)[4:]
    assert [line[4:] for line in first] == [["0", "lep0"], ["0", "lep0"], ["1", "lep0"], ["1", "lep0"]]
    assert [line[:2] for line in second] == [["2", str(rank)] for rank in range(4)]
    assert {line[2] for line in first}.isdisjoint({line[2] for line in second})
    assert [pid for *_, pid, _, _ in first if psutil.pid_exists(int(pid))] == []


def said(core: Station) -> list[list[str]]:
    """Return what each rank of each attempt printed, in that order."""
    lines = core.lepton("logs", "lossy").stdout.splitlines()
    return sorted(line.partition("] ")[2].split() for line in lines)
