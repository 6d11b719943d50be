"""HAProxy's runtime socket: one function that sends commands, and readers for what it answers."""

from __future__ import annotations

import csv
import io
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lepton_ai.errors import Unavailable

TIMEOUT_SECONDS = 5.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024  # 100,000 servers x 500 B of `show stat`
BATCH_BYTES = 8 * 1024  # a command line must fit HAProxy's buffer of 16 kB


def ask(path: Path, command: str) -> str:
    """Send one line of commands, separated by `;`, and return the whole answer; raises Unavailable."""
    assert "\n" not in command, "a second line would be a command of its own"
    pieces: list[bytes] = []
    size = 0
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(path))
            connection.sendall(f"{command}\n".encode())
            while piece := connection.recv(256 * 1024):
                pieces.append(piece)
                size += len(piece)
                if size > ANSWER_BYTES_MAX:
                    raise Unavailable(f"HAProxy answered with more than {ANSWER_BYTES_MAX} bytes to a command.")
    except OSError as error:
        raise Unavailable(f"HAProxy's socket {path} does not answer: {error.strerror or error}.") from error
    return b"".join(pieces).decode(errors="replace")


def is_answering(path: Path, command: str) -> bool:
    """Tell whether somebody answers at `path`."""
    try:
        return bool(ask(path, command).strip())
    except Unavailable:
        return False


def send_all(path: Path, commands: Sequence[str]) -> None:
    """Run commands that answer with nothing when they succeed; raises Unavailable with HAProxy's own words."""
    for batch in _batches(commands):
        words = [line.strip() for line in ask(path, batch).splitlines() if line.strip()]
        refused = [line for line in words if line not in _GOOD_NEWS]
        if refused:
            raise Unavailable(f"HAProxy refused a change: {' '.join(refused)[:300]}")


def read_map(path: Path, name: str) -> dict[str, str]:
    """Return the entries of a map as the running worker holds them."""
    answer = ask(path, f"show map {name}")
    # An entry is `0x5581... KEY VALUE`; anything else is a complaint.
    rows = [line.split(" ", 2) for line in answer.splitlines() if line.strip()]
    if not all(len(row) == 3 and row[0].startswith("0x") for row in rows):
        raise Unavailable(f"HAProxy does not show its map {name}: {answer.strip()[:200]}")
    return {key: value for _, key, value in rows}


def read_description(path: Path) -> str:
    """Return the description that the running worker was started with."""
    lines = ask(path, "show info").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("description:")), "")


def read_statistics(text: str) -> list[Mapping[str, str]]:
    """Return the rows of `show stat` by column name."""
    return list(csv.DictReader(io.StringIO(text.strip().removeprefix("# "))))


def old_workers(show_proc: str) -> tuple[int, ...]:
    """Return the process ids of workers that only end what they began, out of the master's `show proc`."""
    after = show_proc.partition("# old workers")[2].partition("# programs")[0]
    rows = (line.split() for line in after.splitlines())
    return tuple(int(row[0]) for row in rows if len(row) > 1 and row[0].isdigit() and row[1] == "worker")


_GOOD_NEWS = frozenset({"New server registered.", "Server deleted."})


def _batches(commands: Sequence[str]) -> Iterator[str]:
    batch: list[str] = []
    size = 0
    for command in commands:
        if batch and size + len(command) > BATCH_BYTES:
            yield ";".join(batch)
            batch, size = [], 0
        batch.append(command)
        size += len(command) + 1
    if batch:
        yield ";".join(batch)
