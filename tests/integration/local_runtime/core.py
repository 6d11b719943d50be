"""A core in a process of its own that dies: it starts the replica "a" and kills itself some milliseconds later.

python -m tests.integration.local_runtime.core FOLDER MILLISECONDS COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from lepton_ai.backends.local_runtime.preparation import prepare_nothing
from tests.integration.local_runtime.machine import Machine

folder, milliseconds, *command = sys.argv[1:]
core = Machine(Path(folder), None, prepare_nothing, 1 << 20)
core.start("a", *command)
time.sleep(int(milliseconds) / 1000)
os.killpg(0, signal.SIGKILL)
