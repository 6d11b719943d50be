"""Two cores of one platform on this machine: each a process with a state folder, one PostgreSQL, one shared folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from lepton_ai.backends.core_keys import export_keys, import_keys
from lepton_ai.sdk.client import LeptonAI
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.profiles import Target

PATIENCE_SECONDS = 60.0
NAMES = ("first", "second")
POLL_SECONDS = 0.01


class CorePair:
    """The cores `first` and `second`; `folder` is what they share, and holds the state folders of both."""

    def __init__(self, folder: Path, database: str, **settings: str) -> None:
        self.folder = folder
        self._settings = {"database": database, "shared": str(folder), "standby": "true", "port": "0", **settings}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def home(self, name: str) -> Path:
        return self.folder / name

    def begin(self) -> None:
        """Start the first core, give the second its keys, and start that too: it stands by."""
        self.folder.chmod(0o700)
        self.start("first")
        self.await_role("first", leads=True)
        sealed = self.folder / "core.sealed"
        key = export_keys(self.home("first"), sealed)
        self.home("second").mkdir(mode=0o700)
        import_keys(self.home("second"), sealed, key)
        self.start("second")
        self.await_role("second", leads=False)

    def start(self, name: str) -> None:
        """Start that core and do not wait for it."""
        kept = {variable: os.environ[variable] for variable in ("PATH", "PYTHONPATH") if variable in os.environ}
        variables = {f"LEPTON_{setting.upper()}": value for setting, value in self._settings.items()}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "lepton_ai.app"],
                env={**kept, **variables, "HOME": str(self.folder), "LEPTON_HOME": str(self.home(name))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def await_role(self, name: str, *, leads: bool) -> None:
        """Return when that core has said that it leads, or that it stands by."""

        def is_so() -> bool:
            assert self._processes[name].poll() is None, f"{name} ended: {self.printed(name)[-2000:]}"
            said = self._said(name)
            return bool(said) and ("leader" not in said) is leads

        wait_for(is_so, f"{name} to {'lead' if leads else 'stand by'}")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send the core a signal."""
        self._processes[name].send_signal(number)

    def await_end(self, name: str) -> int:
        """Return the exit code of a core that was told to end."""
        return self._processes[name].wait(PATIENCE_SECONDS)

    def url(self, name: str) -> str:
        return f"https://127.0.0.1:{(self.home(name) / 'port').read_text().strip()}"

    def connection(self, *names: str) -> Connection:
        """Return a connection as the administrator to those cores; to both, if none is named."""
        first, *others = (self.url(name) for name in names or NAMES)
        token = (self.home("first") / "admin.token").read_text().strip()
        ca = str(self.home("first") / "tls" / "ca.pem")
        return Connection(Target(first, token, "the test", ca, others=tuple(others)))

    def client(self, *names: str) -> LeptonAI:
        return LeptonAI.over(self.connection(*names))

    def printed(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self) -> None:
        """End both cores, their data planes, and whatever they run."""
        for process in self._processes.values():
            process.kill()
            process.wait(PATIENCE_SECONDS)
        wait_for(self._all_killed, "everything to end")

    def _all_killed(self) -> bool:
        left = self._left()
        for process in left:
            process.kill()
        return not left

    def _said(self, name: str) -> Mapping[str, object]:
        """Return what the core of that name announced, if it was this very process."""
        try:
            said: Mapping[str, object] = json.loads((self.home(name) / "core.json").read_text())
        except (OSError, ValueError):
            return {}
        return said if said.get("pid") == self._processes[name].pid else {}

    def _left(self) -> list[psutil.Process]:
        needle = f"{self.folder}/"
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = needle in " ".join(process.cmdline()) and process.pid != os.getpid()
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as `condition` holds, and fail loudly if it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:.0f} s for {what}"
        time.sleep(POLL_SECONDS)
