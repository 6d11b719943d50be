"""Every example runs as its README says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
