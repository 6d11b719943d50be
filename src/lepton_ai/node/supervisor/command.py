"""Starts a replica's command in its own session, under its limits, tied to the life of the supervisor."""

import os

from . import signals
from .launch import Launch

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_CHILD_SUBREAPER = 36
OOM_SCORE = b"500"  # when the whole machine runs out of memory, replicas go before the core and the supervisors


class NotStartedError(Exception):
    """The command cannot run; the text is a sentence for the owner."""


def adopt_orphans() -> None:
    """Make every process that the replica's processes leave behind a child of this one (PR_SET_CHILD_SUBREAPER)."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def start(launch: Launch, work: str, output: int) -> int:
    """Start the command in the folder `work` with its output on the descriptor `output`; return its process number.

    Raises NotStartedError when it cannot be found, its limits cannot be set, or the system refuses to run it.
    """
    executable = _find(launch.command[0], launch.env.get("PATH", ""))
    supervisor = os.getpid()
    answer, ask = os.pipe()  # `ask` closes when the command takes over the child, or carries the trouble before
    pid = os.fork()
    if pid == 0:
        try:
            _become(launch, work, output, supervisor)
            os.execve(executable, launch.command, launch.env)  # noqa: S606 - a shell is not wanted
        except OSError as error:
            os.write(ask, _sentence(launch.command[0], error).encode())
        except ValueError as error:  # a zero byte in an argument or a variable
            os.write(ask, f"The command {launch.command[0]!r} could not be started: {error}.".encode())
        finally:
            os._exit(127)
    os.close(ask)
    trouble = os.read(answer, 4096)
    os.close(answer)
    if trouble:
        os.waitpid(pid, 0)
        raise NotStartedError(trouble.decode(errors="replace"))
    return pid


def make_groups(launch: Launch) -> None:
    """Make the control groups of the replica and set their limits; raises NotStartedError."""
    path = ""
    try:
        for folder, settings, _ in launch.groups:
            path = folder
            if not os.path.isdir(folder):
                os.mkdir(folder)
            for file, value in settings:
                path = f"{folder}/{file}"
                write_file(path, value.encode())
    except OSError as error:
        raise NotStartedError(f"The limits could not be set: {path}: {error.strerror}.") from error


def write_file(path: str, value: bytes) -> None:
    """Write `value` to an existing file in one call, as control files want it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value)
    finally:
        os.close(fd)


def _become(launch: Launch, work: str, output: int, supervisor: int) -> None:
    """Turn the fresh child into what the command expects to find: runs between fork and exec."""
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signals.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(127)  # The supervisor died before the line above; nobody would ever watch this process.
    for _, _, join in launch.groups:
        # "0" in v1's `tasks` moves this one thread, which spares the kernel a global lock: 0.1 ms for four groups
        # together, where a process number in `cgroup.procs` takes 10 ms for each (measured on Linux 6.18).
        write_file(join, b"0")
    _set_rlimits(launch.rlimits)
    _go_first()
    signals.restore()
    os.chdir(work)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _go_first() -> None:
    try:
        write_file("/proc/self/oom_score_adj", OOM_SCORE)
    except OSError:
        return  # Only a preference; some containers forbid it.


def _set_rlimits(limits: list[tuple[int, int]]) -> None:
    if not limits:
        return
    import resource

    for which, soft in limits:
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _find(name: str, search: str) -> str:
    if "/" in name:
        return name  # Relative to the working directory, as a shell has it: the child is there by then.
    for folder in search.split(":"):
        path = f"{folder}/{name}"
        if folder.startswith("/") and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise NotStartedError(f"The command {name!r} was not found; PATH is {search}.")


def _sentence(name: str, error: OSError) -> str:
    why = (error.strerror or "refused").lower()
    if error.errno == 8:  # ENOEXEC
        return f"The command {name!r} is no program for this machine; a script needs a first line like #!/bin/sh."
    return f"The command {name!r} could not be started: {why}{f' ({error.filename})' if error.filename else ''}."


def _prctl(option: int, value: int) -> None:
    # The whole of `ctypes` would take a third of the supervisor's start; its C part alone is enough for two integers.
    try:
        import _ctypes
    except ImportError:
        return  # A build without ctypes: the next core ends what a killed supervisor leaves.
    libc = _ctypes.dlopen(None, 2)  # type: ignore[arg-type]
    _ctypes.call_function(_ctypes.dlsym(libc, "prctl"), (option, value, 0, 0, 0))
