"""Make one virtual environment and install requirements into it, with uv where there is one and with pip otherwise."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lepton_ai
from lepton_ai.errors import InvalidInput, LeptonError, StorageFailed, Unavailable

INSTALL_SECONDS_MAX = 3600  # torch with CUDA is 3 GB: 50 minutes at 1 MB/s
LOG_LINES_KEPT = 200
LINES_SHOWN = 5
LINE_LENGTH_SHOWN = 300
PIP_WITH_PYTHON_OPTION = (22, 3)  # `pip --python` came with 22.3.
PARENT_FILE = "zzz_lepton_parent.pth"  # .pth files are read in the order of their names: this one comes last.
REQUIREMENTS_FILE = "requirements.txt"
LOG_FILE = "install.log"
# What an installer and the compilers that it starts need. Not LEPTON_*: a package's own build code must not see it.
_KEPT_PREFIXES = ("PIP_", "UV_", "SSL_", "LC_", "XDG_", "CUDA_")
_KEPT = frozenset(
    {"PATH", "HOME", "LANG", "TMPDIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"}
    | {"CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS"}
    | {f"{kind}_proxy" for kind in ("http", "https", "all", "no")}
    | {f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL", "NO")}
)
_NO_SUCH = re.compile(r"No matching distribution found for (.+?)(?: \(from .*\))?$")
_UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|Max retries exceeded"
    r"|ConnectTimeout|Failed to establish a new connection|Connection refused|dns error"
)
_STEPS = ("Collecting ", "Installing collected", "Building ", "Resolved ", " + ")
_NOISE = re.compile(r"^\s*$|^WARNING: |^\[notice\]|^Looking in |^\s+Downloading |━")


@dataclass(frozen=True, slots=True)
class Run:
    """How one installer ended, with the last lines that it wrote."""

    exit_code: int
    lines: tuple[str, ...]
    is_timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Installer:
    """Fills one empty folder. `lock` is a descriptor that the installers inherit: whoever waits for the lock then also
    waits for an installer that outlived a killed core."""

    root: Path
    on_progress: Callable[[str], None]
    lock: int | None = None

    @property
    def log_path(self) -> Path:
        return self.root / LOG_FILE

    def install(self, requirements: Sequence[str]) -> None:
        """Make a virtual environment at `root` and install `requirements` (checked already) into it.

        The packages of the running Python stay importable, after the environment's own. Everything that the installers
        say goes to `install.log` in `root`. Raises InvalidInput naming the requirement that cannot be had, Unavailable
        if the package index cannot be reached, and StorageFailed on a full disk.
        """
        self.on_progress("Making a virtual environment.")
        made = self._run([sys.executable, "-P", "-m", "venv", "--without-pip", str(self.root)])
        if made.exit_code != 0:
            raise self._failure(made, ())
        if requirements:
            # By file, not by argument: a process's arguments can be read by everybody on the machine.
            (self.root / REQUIREMENTS_FILE).write_text("".join(f"{line}\n" for line in requirements))
            self._install_into(requirements)
        _append_parent(self.root)

    def _install_into(self, requirements: Sequence[str]) -> None:
        file = str(self.root / REQUIREMENTS_FILE)
        uv = shutil.which("uv")
        if uv:
            self.on_progress(f"Installing {_count(requirements)} with uv.")
            run = self._run([uv, "pip", "install", "--no-progress", "--python", self._python, "-r", file])
            if run.exit_code == 0:
                return
            self.on_progress("uv could not install them; trying pip, which may know of other places.")
        pip = self._pip()
        self.on_progress(f"Installing {_count(requirements)} with pip.")
        options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        run = self._run([*pip, "install", *options, "-r", file])
        if run.exit_code != 0:
            raise self._failure(run, requirements)

    def _pip(self) -> list[str]:
        """Return a pip that installs into `root`: the running Python's own saves 2 s over a fresh one."""
        if importlib.util.find_spec("pip") and _pip_version() >= PIP_WITH_PYTHON_OPTION:
            return [sys.executable, "-P", "-m", "pip", "--python", self._python]
        made = self._run([self._python, "-I", "-m", "ensurepip", "--default-pip"])
        if made.exit_code != 0:
            raise Unavailable(
                "This node has neither pip nor uv, so it cannot install requirements.",
                hint="On the node: python -m pip install uv, or apt install python3-venv.",
            )
        return [self._python, "-I", "-m", "pip"]

    @property
    def _python(self) -> str:
        return str(self.root / "bin" / "python")

    def _run(self, command: Sequence[str]) -> Run:
        """Run an installer in its own process group, so that its time limit ends its compilers too."""
        kept: deque[str] = deque(maxlen=LOG_LINES_KEPT)
        expired = threading.Event()
        with self.log_path.open("a", errors="replace") as log, self._start(command) as process:
            timer = threading.Timer(INSTALL_SECONDS_MAX, _end, (process, expired))
            timer.daemon = True
            timer.start()
            try:
                for line in process.stdout or ():
                    log.write(line)
                    kept.append(line.rstrip())
                    if line.startswith(_STEPS):
                        self.on_progress(line.partition(" (from ")[0].strip()[:LINE_LENGTH_SHOWN])
                exit_code = process.wait()
            except BaseException:
                _end(process, expired)
                raise
            finally:
                timer.cancel()
        return Run(exit_code, tuple(kept), expired.is_set())

    def _failure(self, run: Run, requirements: Sequence[str]) -> LeptonError:
        if run.is_timed_out:
            return Unavailable(
                f"{_count(requirements)} were not installed after {INSTALL_SECONDS_MAX} s.",
                hint="Try again, or ask for less.",
            )
        return explain_failure(run.lines, requirements)

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=_environment(),
            start_new_session=True,
            pass_fds=() if self.lock is None else (self.lock,),
        )


def explain_failure(lines: Sequence[str], requirements: Sequence[str]) -> LeptonError:
    """Return the error that says which requirement cannot be had and why, from an installer's last lines."""
    text = "\n".join(lines)
    last = "\n".join(f"  {line[:LINE_LENGTH_SHOWN]}" for line in _useful(lines))
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return StorageFailed(f"The node's disk is full:\n{last}\n", hint="Free some space on the node.")
    if _UNREACHABLE.search(text):
        return Unavailable(
            f"The package index cannot be reached from this node:\n{last}\n",
            hint="See the node's network and PIP_INDEX_URL, then run the job again.",
        )
    missing = next((found[1] for line in lines if (found := _NO_SUCH.search(line))), "")
    what = f"The requirement {missing}" if missing else f"One of the requirements ({', '.join(requirements)[:300]})"
    return InvalidInput(
        f"{what} cannot be installed:\n{last}\n",
        hint="Correct its name or version, or take it out.",
    )


def _pip_version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", importlib.metadata.version("pip"))[:2])


def _end(process: subprocess.Popen[str], expired: threading.Event) -> None:
    expired.set()
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)} | {
        "PYTHONUNBUFFERED": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "UV_NO_COLOR": "1",
    }


def _append_parent(root: Path) -> None:
    """Make the running Python's packages importable after the environment's own, their own .pth files included."""
    library = next((root / "lib").glob("python*/site-packages"))
    own_root = str(Path(lepton_ai.__file__).resolve().parent.parent)
    parents = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    unique = dict.fromkeys([*parents, own_root])
    (library / PARENT_FILE).write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in unique))


def _useful(lines: Sequence[str]) -> list[str]:
    """Return the lines that say what went wrong: the errors where there are any, else the last ones."""
    plain = [line for line in lines if not _NOISE.search(line)]
    errors = [line for line in plain if line.lower().lstrip().startswith(("error", "×", "fatal"))]
    return (errors or plain)[-LINES_SHOWN:]


def _count(requirements: Sequence[str]) -> str:
    return f"{len(requirements)} requirement{'s' if len(requirements) != 1 else ''}"
