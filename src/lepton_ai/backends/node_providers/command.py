"""The `command` provider: runs the user's own commands, so that any cloud's tool or Terraform makes the machines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

from lepton_ai.backends.node_providers.joining import TOKEN_VARIABLE, join_script, tail, without_own
from lepton_ai.errors import InvalidInput, TimedOut, Unavailable
from lepton_ai.kernel.node_providers import Group, NodeOrder, Provider

VERBS = ("create", "delete", "list")
SECONDS = 300.0
SECONDS_MAX = 3600.0
OUTPUT_BYTES_MAX = 1 << 20  # of what `list` prints: 1,000 names of 64 bytes are 64 kB
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check(settings: Mapping[str, str]) -> None:
    """Raise InvalidInput unless there are the three commands, and nothing that nobody knows."""
    unknown = sorted(settings.keys() - {*VERBS, "seconds"})
    if unknown:
        raise InvalidInput(
            f"The command provider has no setting {unknown[0]!r}.", hint="Known: create, delete, list, seconds."
        )
    for verb in VERBS:
        if not settings.get(verb, "").strip():
            raise InvalidInput(
                f"The command provider needs the setting {verb!r}: the command line that does it.",
                hint="create makes the machine LEPTON_NODE, delete deletes it, list prints the names of all there are.",
            )
    _seconds(settings)


class CommandProvider:
    """Runs each command by /bin/sh, with what it is about in its environment, and ends it after its time.

    LEPTON_NODE, LEPTON_GROUP and LEPTON_INSTANCE_ID say what it is about. `create` has LEPTON_JOIN_TOKEN too, and on
    its standard input the shell script that the new machine is to run.
    """

    def __init__(self, _home: Path) -> None:
        pass

    def create(self, order: NodeOrder) -> None:
        env = {"LEPTON_NODE": order.name, "LEPTON_URL": order.url, TOKEN_VARIABLE: order.token}
        _run("create", order.group, env, join_script(order), order.token)

    def delete(self, group: Group, name: str) -> None:
        _run("delete", group, {"LEPTON_NODE": name})

    def list(self, group: Group) -> Collection[str]:
        names = _run("list", group, {}).split()
        wrong = next((name for name in names if not _NAME.fullmatch(name)), None)
        if wrong is not None:
            raise InvalidInput(f"The command `list` printed {wrong[:80]!r}, which is no name of a node.")
        return [name for name in names if name.startswith(f"{group.name}-")]


def _run(verb: str, group: Group, env: Mapping[str, str], given: str = "", secret: str = "") -> str:
    """Run one command to its end; return what it printed. Raises Unavailable and TimedOut with the end of that."""
    seconds = _seconds(group.settings)
    own = {"LEPTON_GROUP": group.name, "LEPTON_INSTANCE_ID": group.instance, **env}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", group.settings[verb]],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                env={**without_own(os.environ), **own},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"The command `{verb}` cannot be started: {error.strerror}.") from error
        try:
            process.communicate(given.encode(), timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"The command `{verb}` did not end within {seconds:g} s.{_said(errors, secret)}") from error
        finally:
            _end(process)
        if process.returncode != 0:
            said = _said(errors, secret) or _said(output, secret)
            raise Unavailable(f"The command `{verb}` ended with exit code {process.returncode}.{said}")
        output.seek(0)
        return output.read(OUTPUT_BYTES_MAX).decode(errors="replace")


def _said(file: IO[bytes], secret: str) -> str:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - OUTPUT_BYTES_MAX))
    said = tail(file.read().decode(errors="replace"), secret)
    return f" It said: {said}" if said else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command with all that it started, if it has not ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _seconds(settings: Mapping[str, str]) -> float:
    text = settings.get("seconds", f"{SECONDS:g}")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 1 <= seconds <= SECONDS_MAX:
        raise InvalidInput(f"seconds={text[:40]!r} is no time limit: a number from 1 to {SECONDS_MAX:,.0f}.")
    return seconds


PROVIDER = Provider(check, CommandProvider)
