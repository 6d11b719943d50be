"""Runs one replica from claim to exit record: the supervisor's whole life."""

import os
import select
import time

from . import command, records, remains, signals
from .launch import LAUNCH_FD, STATUS_FD, Launch, receive
from .log_writer import LogWriter
from .outcome import Seen, exit_record
from .watch import INTERVAL_SECONDS, Watch

EXIT_TAKEN = 17  # somebody else has the replica
EXIT_UNABLE = 75  # the folder cannot be written: nothing was started
READ_BYTES = 65536  # what a pipe holds
DRAIN_BYTES_MAX = 1 << 20
FD_MAX = 65536
LEASH_GONE = "Its node left the cluster, which may have started it elsewhere."


def main() -> None:
    """Claim the replica in the folder named by the last argument, run it, record its exit."""
    import sys

    status = _take_over_descriptors()
    launch = receive(LAUNCH_FD)
    try:
        os.chdir(sys.argv[-1])
        if not records.claim(".", f"{{{records.identity()}, {launch.facts[1:]}"):
            os._exit(EXIT_TAKEN)
        record = records.reserve_exit(".")
    except OSError:
        os._exit(EXIT_UNABLE)
    _forget_launch()
    seen = Seen()
    try:
        _run(launch, seen, status)
    except command.NotStartedError as error:
        seen.cause, seen.sentence = seen.cause or "not_started", seen.sentence or str(error)
    except OSError as error:
        seen.cause, seen.sentence = "not_started", _set_up_failed(error)
    if not remains.end_all(launch.meters):
        seen.remarks.append("A process of it could not be ended.")
    seen.finished_at = wall_clock()
    text = exit_record(launch, seen)
    remains.remove_groups([folder for folder, _, _ in launch.groups])
    records.write_exit(".", record, text)
    os._exit(0)


def wall_clock() -> float:
    """Return the time for the records. The supervisor is a process of its own: the core's clock is out of its reach."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def _take_over_descriptors() -> int:
    """Close whatever the core left open, and return where the core hears that the command runs."""
    os.closerange(3, FD_MAX)
    status = os.dup(STATUS_FD)
    os.dup2(2, STATUS_FD)  # 2 is /dev/null
    return status


def _forget_launch() -> None:
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, LAUNCH_FD)  # The command's standard input, and the end of the memory file with the secrets.
    os.close(nothing)


def _run(launch: Launch, seen: Seen, status: int) -> None:
    os.mkdir(records.TEMPORARY, 0o700)
    os.mkdir(records.LOG, 0o700)
    if launch.prepared:
        os.rename(launch.prepared, records.WORK)
    else:
        os.mkdir(records.WORK, 0o700)
    wake = _listen()
    if records.read_stop(".") is not None:
        seen.cause, seen.sentence = "stopped", "Stopped on request, before the command had started."
        return
    command.adopt_orphans()
    command.make_groups(launch)
    log = LogWriter(records.LOG, launch.log_bytes_max)
    output, write_end = os.pipe()
    began = wall_clock()  # before the command can have done anything
    try:
        pid = command.start(launch, records.WORK, write_end)
    finally:
        os.close(write_end)
    seen.started_at = began
    records.write_running(".", pid, seen.started_at)
    _tell(status, seen.started_at)
    _Supervision(launch, seen, pid).follow(output, wake, log)
    if log.dropped:
        seen.remarks.append(f"{log.dropped} bytes of its output could not be written: {log.trouble}.")


def _set_up_failed(error: OSError) -> str:
    return f"The replica could not be set up: {error.strerror}{f' ({error.filename})' if error.filename else ''}."


def _listen() -> int:
    """Turn SIGTERM and SIGCHLD into bytes of a pipe; SIGTERM was blocked since before this process began."""
    wake, write_end = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(write_end, False)
    signals.listen(write_end)
    return wake


def _tell(status: int, started_at: float) -> None:
    try:
        os.write(status, f"{started_at:.6f}".encode())
    except OSError:
        return  # The core died meanwhile; the next one reads the record.
    finally:
        os.close(status)


class _Supervision:
    """The loop between the start of the command and its end."""

    def __init__(self, launch: Launch, seen: Seen, pid: int) -> None:
        self._launch = launch
        self._seen = seen
        self._pid = pid
        self._watch = Watch(launch.watched_memory_bytes, launch.watched_processes)
        now = time.monotonic()
        self._timeout_at = now + launch.timeout_seconds if launch.timeout_seconds else 0.0
        self._look_at = now if self._watch.is_needed else 0.0
        self._kill_at = 0.0

    def follow(self, output: int, wake: int, log: LogWriter) -> None:
        """Pump the output into the log until the command has ended, then end its group and drain the rest."""
        poll = select.poll()
        poll.register(output, select.POLLIN)
        poll.register(wake, select.POLLIN)
        leash = self._take_leash(poll)
        while not self._is_over():
            for fd, _ in poll.poll(self._pause_milliseconds()):
                if fd == wake:
                    self._hear(os.read(wake, 4096))
                elif fd == leash:
                    poll.unregister(leash)
                    self._end("lost", LEASH_GONE, 0.0)
                elif data := os.read(output, READ_BYTES):
                    log.append(data)
                else:
                    poll.unregister(output)
            self._keep_time()
        self._collect()
        os.set_blocking(output, False)
        _drain(output, log)
        log.close()

    def _take_leash(self, poll: "select.poll") -> int:
        """Follow the process that the replica ends with; return what `poll` names it by, or -1 if there is none."""
        if not self._launch.leash:
            return -1
        try:
            leash = os.pidfd_open(self._launch.leash)
        except OSError:
            self._end("lost", LEASH_GONE, 0.0)
            return -1
        poll.register(leash, select.POLLIN)
        return leash

    def _is_over(self) -> bool:
        """Reap ended orphans; tell whether the command itself has ended, without reaping it: its number stays ours."""
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return False
            if ended.si_pid == self._pid:
                return True
            self._reap(ended.si_pid)

    def _reap(self, pid: int) -> int:
        _, status, used = os.wait4(pid, 0)
        self._seen.rusage_cpu_seconds += used.ru_utime + used.ru_stime
        self._seen.rusage_peak_bytes = max(self._seen.rusage_peak_bytes, used.ru_maxrss * 1024)
        return status

    def _collect(self) -> None:
        remains.signal_group(self._pid, signals.SIGKILL)
        self._seen.status = self._reap(self._pid)
        self._seen.rusage_peak_bytes = max(self._seen.rusage_peak_bytes, self._watch.peak_memory_bytes)
        remains.end_all(self._launch.meters)

    def _hear(self, heard: bytes) -> None:
        if signals.SIGTERM not in heard:
            return
        grace = records.read_stop(".")
        self._end("stopped", "Stopped on request.", self._launch.grace_seconds if grace is None else grace)

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._kill_at and now >= self._kill_at:
            self._seen.was_killed = self._launch.grace_seconds > 0
            remains.signal_group(self._pid, signals.SIGKILL)
            self._kill_at = now + 1.0  # Once more, for a process that joined the group meanwhile.
        if self._timeout_at and now >= self._timeout_at:
            self._timeout_at = 0.0
            limit = f"{self._launch.timeout_seconds:g} s"
            self._end("timed_out", f"The replica ran longer than its time-out of {limit}.", self._launch.grace_seconds)
        if self._look_at and now >= self._look_at:
            self._look_at = now + INTERVAL_SECONDS
            kind, sentence = self._watch.look()
            if kind:
                self._end(kind, sentence, 0.0)

    def _end(self, kind: str, sentence: str, grace_seconds: float) -> None:
        """Ask the group to end, and kill it after the grace; the first cause stays, the shortest grace wins."""
        is_first = not self._seen.cause
        if is_first:
            self._seen.cause, self._seen.sentence = kind, sentence
        kill_at = time.monotonic() + grace_seconds
        self._kill_at = min(self._kill_at or kill_at, kill_at)
        self._launch.grace_seconds = grace_seconds
        if is_first and grace_seconds > 0:  # Many programs take a second SIGTERM as "at once".
            remains.signal_group(self._pid, signals.SIGTERM)
            remains.signal_group(self._pid, signals.SIGCONT)

    def _pause_milliseconds(self) -> int:
        due = [moment for moment in (self._timeout_at, self._kill_at, self._look_at) if moment]
        if not due:
            return -1
        return max(0, int((min(due) - time.monotonic()) * 1000) + 1)


def _drain(output: int, log: LogWriter) -> None:
    """Read what is still in the pipe; at most what one can hold, in case a stranger keeps writing."""
    left = DRAIN_BYTES_MAX
    while left > 0:
        try:
            data = os.read(output, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            return
        log.append(data)
        left -= len(data)
