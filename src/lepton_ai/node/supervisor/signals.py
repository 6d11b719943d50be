"""The few signal calls that the supervisor needs, typed. The `signal` module would load `enum`: 4 ms per replica."""

import _signal  # type: ignore[import-not-found]

SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGTERM, SIGCHLD, SIGCONT, SIGXFSZ = 1, 2, 9, 13, 15, 17, 18, 25  # signal(7), Linux
CHANGED = (SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGCHLD, SIGXFSZ)  # what Python or the supervisor treats in its own way


def listen(wake: int) -> None:
    """Have SIGTERM and SIGCHLD write their number to the descriptor `wake`, and let them come."""
    _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (SIGTERM, SIGCHLD):
        _signal.signal(number, lambda *_: None)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def restore() -> None:
    """Give a fresh child the signals as a command expects them."""
    _signal.set_wakeup_fd(-1)
    for number in CHANGED:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
