"""What uvloop would be worth: the same servers and the same core on asyncio's own loop and on uvloop's."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from benchmarks.endpoint import MANY, Rounds, take_turns
from benchmarks.figure import Figure, Report, told
from benchmarks.instance import Instance, environment_of, lepton
from benchmarks.load import Target
from benchmarks.memory import held_by
from benchmarks.served import BODY, bare_server, write_app
from benchmarks.venv import disk_bytes

ROUNDS = 9
CORE_ROUNDS = 5
START_SECONDS_MAX = 30
IDLE_SECONDS = 5
ON_UVLOOP = "import asyncio, uvloop; asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); "
CORE = "import runpy; runpy.run_module('lepton_ai.app', run_name='__main__')"
LOOPS = ("asyncio", "uvloop")
MB = 1_000_000


def measure() -> Report:
    """Compare a served app, the core's memory and its API; without uvloop here, say so."""
    found = find_spec("uvloop")
    if found is None or found.origin is None:
        note = "uvloop is not installed here: `pip install uvloop` first."
        return Report(name="event_loop", title="What uvloop would be worth", figures=[], notes=[note])
    size = disk_bytes(Path(found.origin).parent) / MB
    figures = [told("uvloop on disk", [size], "MB"), *_serving(), *_cores()]
    notes = [
        "The base install has no uvloop. Replicas run uvicorn, which takes uvloop where it is installed; the core runs "
        "asyncio's loop in either case, and is given uvloop's here by setting the policy before it starts."
    ]
    return Report(name="event_loop", title="What uvloop would be worth", figures=figures, notes=notes)


def _serving() -> list[Figure]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lepton-benchmark-")))
        write_app(folder)
        ports = {loop: stack.enter_context(bare_server(folder, loop)) for loop in LOOPS}
        targets = {loop: Target(port=port, body=BODY) for loop, port in ports.items()}
        one, many = (take_turns(targets, clients, ROUNDS) for clients in (1, MANY))
    return [
        *(told(f"trivial app under uvicorn, {loop}, p50 at one client", _p50(one, loop), "ms") for loop in LOOPS),
        *(told(f"trivial app under uvicorn, {loop}, {MANY} clients", _rate(many, loop), "/s") for loop in LOOPS),
    ]


def _cores() -> list[Figure]:
    with ExitStack() as stack:
        cores = {loop: stack.enter_context(_core_on(loop)) for loop in LOOPS}
        time.sleep(IDLE_SECONDS)
        held = {loop: held_by(core).core_pss / MB for loop, core in cores.items()}
        path, end = "/api/v1/whoami", b"}}"
        targets = {
            loop: Target(port=core.port, path=path, token=core.token, ca=core.ca, body=end)
            for loop, core in cores.items()
        }
        rates = take_turns(targets, MANY, CORE_ROUNDS)
    return [
        *(told(f"core on {loop}, idle (PSS)", [held[loop]], "MB") for loop in LOOPS),
        *(told(f"core on {loop}, `GET /api/v1/whoami`, {MANY} clients", _rate(rates, loop), "/s") for loop in LOOPS),
    ]


@contextmanager
def _core_on(loop: str) -> Iterator[Instance]:
    with tempfile.TemporaryDirectory(prefix="lepton-benchmark-") as folder:
        home = Path(folder) / "home"
        program = (ON_UVLOOP if loop == "uvloop" else "") + CORE
        core = subprocess.Popen(
            [sys.executable, "-c", program, "lepton_ai.app"],  # the last word is what `lepton down` knows a core by
            env=environment_of(home),
            stderr=subprocess.DEVNULL,
        )
        try:
            yield _announced(home)
        finally:
            lepton(home, "down")  # ends the data plane too, which would outlive a core that is told to end
            core.wait(30)


def _announced(home: Path) -> Instance:
    give_up = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < give_up:
        try:
            said = json.loads((home / "core.json").read_text())
            return Instance(home, said["url"], (home / "admin.token").read_text().strip())
        except (OSError, ValueError):
            time.sleep(0.05)
    raise RuntimeError(f"the core was not ready within {START_SECONDS_MAX} s")


def _p50(rounds: Rounds, loop: str) -> Sequence[float]:
    return [load.p50_ms for load in rounds[loop]]


def _rate(rounds: Rounds, loop: str) -> Sequence[float]:
    return [load.per_second for load in rounds[loop]]
