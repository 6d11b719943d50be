"""Turns what was seen of a replica's end into its exit record."""

import os

from .launch import Launch
from .plain_file import read_plain

NAMES = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
    11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ",
}  # fmt: skip
SENTENCE_MAX = 600  # characters; escaped to six bytes each, all still fit the 4096 bytes that were reserved
CONTROL_FILE_BYTES = 65536


class Seen:
    """What the supervisor saw. `cause` is an exit kind that we brought about ourselves, or empty."""

    def __init__(self) -> None:
        self.status = 0  # as waitpid gives it
        self.started_at = 0.0
        self.finished_at = 0.0
        self.cause = ""
        self.sentence = ""
        self.was_killed = False  # the grace ran out
        self.rusage_cpu_seconds = 0.0
        self.rusage_peak_bytes = 0
        self.remarks: list[str] = []


def exit_record(launch: Launch, seen: Seen) -> str:
    """Return the exit record as JSON. Reads the control groups, so they must still be there."""
    kind, sentence = _explain(launch, seen)
    code = os.WEXITSTATUS(seen.status) if os.WIFEXITED(seen.status) and kind != "not_started" else -1
    signal = os.WTERMSIG(seen.status) if os.WIFSIGNALED(seen.status) else 0
    text = " ".join([sentence, *seen.remarks])[:SENTENCE_MAX]
    return (
        f'{{"kind": "{kind}", "exit_code": {code}, "signal": {signal}, "sentence": {quote(text)}, '
        f'"peak_memory_bytes": {_peak(launch, seen)}, "cpu_seconds": {_cpu_seconds(launch, seen):.6f}, '
        f'"started_at": {seen.started_at:.6f}, "finished_at": {seen.finished_at:.6f}}}'
    )


def quote(text: str) -> str:
    """Return `text` as a JSON string. The `json` package costs as much as the whole rest of the supervisor's start."""
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import encode_basestring_ascii
    return str(encode_basestring_ascii(text))


def _explain(launch: Launch, seen: Seen) -> tuple[str, str]:
    if seen.cause:
        after = f" It did not end within {launch.grace_seconds:g} s and was killed." if seen.was_killed else ""
        return seen.cause, seen.sentence + after
    if seen.status == 0:
        return "succeeded", "The command ended with exit code 0."
    if counter(launch.meters.get("oom", ""), "oom_kill") > 0:
        megabytes = launch.memory_bytes / 1e6
        return "out_of_memory", f"The replica needed more than its {megabytes:.0f} MB of memory; ask for more."
    if os.WIFSIGNALED(seen.status):
        number = os.WTERMSIG(seen.status)
        hint = " The machine may have run out of memory." if number == 9 and not launch.meters.get("oom") else ""
        return "signaled", f"The command was killed by signal {number} ({NAMES.get(number, 'unnamed')}).{hint}"
    return "failed", f"The command ended with exit code {os.WEXITSTATUS(seen.status)}."


def _peak(launch: Launch, seen: Seen) -> int:
    return number_in(launch.meters.get("peak", "")) or seen.rusage_peak_bytes


def _cpu_seconds(launch: Launch, seen: Seen) -> float:
    nanoseconds = number_in(launch.meters.get("cpu", ""))
    if nanoseconds:
        return nanoseconds / 1e9
    microseconds = counter(launch.meters.get("cpu", ""), "usage_usec")
    return microseconds / 1e6 if microseconds else seen.rusage_cpu_seconds


def number_in(path: str) -> int:
    """Return the number that a control file holds, or 0."""
    text = _text(path)
    return int(text) if text.strip().isdigit() else 0


def counter(path: str, key: str) -> int:
    """Return one counter of a control file that has a name and a number in each line, or 0."""
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.isdigit():
            return int(value)
    return 0


def _text(path: str) -> str:
    if not path:
        return ""
    try:
        return read_plain(path, CONTROL_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""
