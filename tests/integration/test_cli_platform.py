"""`lepton up`, work, `lepton down`: the real core, as a new user starts it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.local_runtime.machine import is_alive, wait_for

SECONDS_MAX = 90


class Machine:
    """Runs `lepton` as a process, with a state folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.work = home / "work"
        self.work.mkdir()

    def lepton(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        # Nothing of the developer's own: an instance or a token in the environment would be used instead.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LEPTON_")}
        return subprocess.run(
            [sys.executable, "-m", "lepton_ai.cli.main", *words],
            env={**clean, "LEPTON_HOME": str(self.home), **env},
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )

    def status(self) -> Mapping[str, Any]:
        done = self.lepton("status", "--output", "json")
        assert done.returncode == 0, done.stderr
        found: Mapping[str, Any] = json.loads(done.stdout)
        return found

    def processes(self) -> list[str]:
        """Return the command lines of all that runs for the platform of this state folder."""
        return [line for line in map(_command_line, psutil.process_iter()) if str(self.home) in line]

    def kill(self, word: str) -> None:
        """Kill whatever of the platform has `word` in its command line, and return when it is gone."""
        found = [process for process in psutil.process_iter() if self._is_ours(process, word)]
        assert found, f"nothing to kill: {word}"
        for process in found:
            process.kill()
        psutil.wait_procs(found, SECONDS_MAX)

    def _is_ours(self, process: psutil.Process, word: str) -> bool:
        line = _command_line(process)
        return str(self.home) in line and word in line


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join([*process.cmdline(), process.environ().get("LEPTON_HOME", "")])
    except psutil.Error:
        return ""


@pytest.fixture
def machine() -> Iterator[Machine]:
    # The folder's path is short, so that the sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="lepton-", dir="/tmp") as folder:
        made = Machine(Path(folder))
        yield made
        made.lepton("down")
        assert not made.processes()


def up(machine: Machine, *words: str) -> None:
    done = machine.lepton("up", "--port", "0", *words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_minute_of_a_new_user(machine: Machine) -> None:
    up(machine)
    ran = machine.lepton("run", "--", "sh", "-c", "echo hi; exit 5")
    assert (ran.returncode, ran.stdout) == (5, "hi\n")
    assert machine.lepton("logs", "-f").stdout == "hi\n"
    (job,) = json.loads(machine.lepton("job", "list", "-o", "json").stdout)
    assert (job["status"]["state"], job["status"]["exit_code"]) == ("failed", 5)
    assert machine.lepton("resources").stdout.splitlines()[-1].startswith("Resource 1: Utilization: ")
    assert machine.lepton("doctor").returncode == 0
    assert machine.lepton("down").stdout == "Lepton AI is stopped.\n"
    assert not machine.processes()


def test_up_twice_says_that_it_runs_and_changes_nothing(machine: Machine) -> None:
    up(machine, "--name", "my_lepton_instance")
    pid = machine.status()["core"]["pid"]
    again = machine.lepton("up")
    assert again.returncode == 0
    assert f"already running at {machine.status()['url']} (process {pid})" in again.stdout
    assert machine.lepton("job", "list", "--instance", "my_lepton_instance").returncode == 0


def test_down_twice_is_no_error_and_status_says_how_to_start(machine: Machine) -> None:
    assert machine.lepton("down").returncode == 0
    status = machine.lepton("status")
    assert status.returncode == 1
    assert "lepton up" in status.stderr


def test_down_can_leave_jobs_running_for_the_next_core(machine: Machine) -> None:
    up(machine)
    machine.lepton("run", "--detach", "--name", "long", "--", "sleep", "300")
    first = machine.lepton("job", "get", "long", "-o", "json").stdout
    assert machine.lepton("down", "--keep-running").returncode == 0
    up(machine)
    state = json.loads(machine.lepton("job", "get", "long", "-o", "json").stdout)
    assert state["status"]["state"] == "running"
    assert state["metadata"]["id"] == json.loads(first)["metadata"]["id"]


def test_down_stops_what_a_killed_core_left_behind(machine: Machine) -> None:
    up(machine)
    machine.lepton("run", "--detach", "--", "sleep", "300")
    os.kill(machine.status()["core"]["pid"], signal.SIGKILL)
    done = machine.lepton("down")
    assert done.returncode == 0, done.stderr
    assert not machine.processes()


@pytest.mark.parametrize("killed", [("lepton_ai.app", "haproxy"), ("lepton_ai.app", "haproxy", "supervisor")])
def test_down_stops_what_runs_when_the_data_plane_was_killed_too(machine: Machine, killed: tuple[str, ...]) -> None:
    up(machine)
    machine.lepton("run", "--detach", "--name", "long", "--", "sh", "-c", "echo $$; exec sleep 300")
    wait_for(lambda: bool(machine.lepton("logs", "long").stdout.strip()))
    pid = int(machine.lepton("logs", "long").stdout)
    for word in killed:
        machine.kill(word)
    done = machine.lepton("down")
    assert done.stdout == "Lepton AI is stopped.\n", done.stderr
    assert not is_alive(pid)
    assert machine.lepton("down").stdout == "Lepton AI is not running.\n"


def test_the_logs_of_what_was_deleted_while_no_core_ran_go_at_the_next_start(machine: Machine) -> None:
    up(machine)
    machine.lepton("run", "--name", "kept", "--", "echo", "kept")
    machine.lepton("down")
    past = machine.home / "runtime" / "past"
    (left,) = past.iterdir()
    shutil.copytree(left, past / "019a0000-0000-7000-8000-000000000000-0")
    up(machine)
    wait_for(lambda: list(past.iterdir()) == [left])
    assert machine.lepton("logs", "kept").stdout == "kept\n"


def test_a_foreign_token_in_the_environment_does_not_hinder_up_and_down(machine: Machine) -> None:
    up(machine)
    assert machine.lepton("job", "list", LEPTON_TOKEN="lepton_wrong").returncode == 1
    assert machine.lepton("up", LEPTON_TOKEN="lepton_wrong").returncode == 0
    assert machine.lepton("down", LEPTON_TOKEN="lepton_wrong").stdout == "Lepton AI is stopped.\n"


def test_a_port_that_is_taken_is_told_in_the_cores_own_words(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = machine.lepton("up", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Port {port} on 127.0.0.1 is taken")
    assert "Hint: " in done.stderr


def test_a_damaged_database_is_told_in_the_cores_own_words(machine: Machine) -> None:
    (machine.home / "lepton.db").write_text("not a database" * 100)
    done = machine.lepton("up", "--port", "0")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert "Traceback" not in done.stderr
