"""A platform of a benchmark's own: started by `lepton up` in a fresh state folder, stopped and removed at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lepton_ai import LeptonAI
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.profiles import Target

BIN = Path(sys.executable).parent
COMMAND_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Instance:
    """A running platform and what is needed to speak to it."""

    home: Path
    url: str
    token: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def ca(self) -> Path:
        return self.home / "tls" / "ca.pem"

    def connect(self) -> LeptonAI:
        """Return a client of this platform, whatever the environment says."""
        return LeptonAI.over(Connection(Target(self.url, self.token, "the benchmark", ca=str(self.ca))))


@contextmanager
def running_instance(settings: str = "", *, extra: Mapping[str, str] | None = None) -> Iterator[Instance]:
    """Start a platform in a fresh folder; stop it, with all that it runs, when the block ends.

    `settings` are lines of its config.toml, `extra` are more variables for the core.
    """
    with tempfile.TemporaryDirectory(prefix="lepton-benchmark-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        (home / "config.toml").write_text(settings)
        try:
            lepton(home, "up", extra=extra)
            core = json.loads((home / "core.json").read_text())
            yield Instance(home, core["url"], (home / "admin.token").read_text().strip())
        finally:
            lepton(home, "down")


def lepton(home: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> str:
    """Run the command `lepton` on the platform of `home` and return what it printed."""
    done = subprocess.run(
        [BIN / "lepton", *arguments],
        env={**environment_of(home), **(extra or {})},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise RuntimeError(f"lepton {' '.join(arguments)} exits with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def environment_of(home: Path) -> dict[str, str]:
    """Return this process's environment, pointed at `home` and at nothing else of Lepton's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEPTON_")}
    return kept | {"LEPTON_HOME": str(home), "LEPTON_PORT": "0"}
