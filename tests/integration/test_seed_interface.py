"""The interface that the founding document prints, on a real platform: rank, place, run, time and measure a task."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai import LeptonAI

SECONDS_MAX = 90


@pytest.fixture(scope="module")
def lepton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeptonAI]:
    home = tmp_path_factory.mktemp("seed")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEPTON_")}
    env = {**clean, "LEPTON_HOME": str(home), "LEPTON_PORT": "0"}
    script = Path(sys.executable).with_name("lepton")
    up: list[str | Path] = [script, "up", "--name", "my_lepton_instance", "--wait", "60"]
    subprocess.run(up, env=env, check=True, timeout=SECONDS_MAX, stdout=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEPTON_HOME", str(home))
        for name in ("LEPTON_INSTANCE", "LEPTON_TOKEN", "LEPTON_PROJECT"):
            patch.delenv(name, raising=False)
        with LeptonAI("my_lepton_instance", (home / "admin.token").read_text().strip()) as client:
            yield client
        subprocess.run([script, "down"], env=env, check=True, timeout=SECONDS_MAX, stdout=subprocess.DEVNULL)


def test_a_task_is_ranked_placed_run_and_timed_as_printed(lepton: LeptonAI) -> None:
    task = "sleep 0.3"

    c = lepton.get_optimal_resource(task)
    r = lepton.get_optimal_allocation(c, task)
    lepton.execute_task(r, task)
    duration = lepton.get_task_duration(task)

    assert c.source == "guessed"  # nothing like it has run here
    assert [allocation.node for allocation in r.allocations] == list(c.nodes)
    assert timedelta(seconds=0.3) <= duration < timedelta(seconds=30)


def test_the_use_of_an_allocation_is_measured(lepton: LeptonAI) -> None:
    task = "sleep 0.1"
    c = lepton.get_optimal_resource(task)

    utilization = lepton.get_resource_utilization(c, lepton.get_optimal_allocation(c, task))

    assert 0.0 <= utilization <= 1.0


def test_what_ran_is_expected_to_take_as_long_again(lepton: LeptonAI) -> None:
    task = ["sleep", "0.2"]
    for _ in range(5):
        lepton.jobs.create(task).wait(timeout=SECONDS_MAX, raise_on_failure=True)

    c = lepton.get_optimal_resource(task)

    assert c.source == "measured"
    assert c.expected_seconds < 10.0  # ten minutes are guessed for what was never seen


def test_a_command_is_profiled_by_the_steps_that_it_tells(lepton: LeptonAI) -> None:
    told = "open(os.environ['LEPTON_PROGRESS'], 'w').write(str(step))"
    steps = f"import os, time\nfor step in range(10**6):\n    time.sleep(0.05)\n    {told}"

    found = lepton.profile(["python", "-c", steps], seconds=2)

    assert [probe.report.problem for probe in found.probes] == [""]
    assert found.probes[0].report.unit == "step"
    assert 0.05 <= found.probes[0].report.seconds_per_unit < 1
    assert [choice.speed_source for choice in found.choices] == ["measured"]
