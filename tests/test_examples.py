"""Every example runs as its README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lepton_ai.testing.namespaces import why_not

ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(400)
def test_the_demo_trains_serves_and_answers_with_the_promised_accuracy() -> None:
    script = ROOT / "examples" / "digits" / "demo.py"

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=390, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Epoch 1, train loss: " in done.stdout
    assert "Resource 1: Utilization: " in done.stdout
    assert "AS IT WAS  WHAT IF  CHANGE" in done.stdout
    served = float(done.stdout.split("Accuracy as served over HTTPS: ")[1].split()[0])
    assert served >= 0.97


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_the_demo_of_a_cluster_loses_a_machine_and_goes_on() -> None:
    script = ROOT / "examples" / "cluster" / "demo.py"

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=390, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "simulated-gpu-80gb" in done.stdout
    assert "over 2 ranks" in done.stdout
    story = done.stdout.split("The events that tell the story:")[1]
    assert re.search(r"node/(beta|gamma) +lost .*\n(.*\n)*.*job/survivor +succeeded", story), story
    assert re.search(r"node/(beta|gamma) +back ", story), story
