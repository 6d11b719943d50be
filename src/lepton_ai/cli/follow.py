"""Follows a job that was just submitted to its end, and turns how it ended into an exit code."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from lepton_ai.cli.log_print import LogForm, print_log
from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.waiting import Waiting
from lepton_ai.errors import Conflict, LeptonError

if TYPE_CHECKING:
    from lepton_ai.cli.session import Session
    from lepton_ai.sdk.client import LeptonAI
    from lepton_ai.sdk.job_handle import JobHandle
    from lepton_ai.types.job import Job

INTERRUPTED = 130  # 128 + SIGINT, as a shell has it
BEFORE_START = frozenset({"queued", "starting"})
REFUSED = 1


def follow_to_end(session: Session, client: LeptonAI, handle: JobHandle) -> int:
    """Print the log until the job has ended and return its exit code; Ctrl-C stops the job."""
    try:
        _wait_for_start(client, handle)
        form = LogForm(has_ranks=handle.spec.replicas > 1, has_indexes=handle.spec.array > 0)
        print_log(handle.logs(follow=True), form, sys.stderr if session.is_json else sys.stdout)
        handle.wait()
    except KeyboardInterrupt:
        return _stop(handle)
    except LeptonError:
        notice(f"Job {handle.name} was submitted and goes on: lepton logs -f {handle.name}")
        raise
    if session.is_json:
        print_json(handle.object)
    _tell_end(handle.object)
    return exit_code_of(handle.object)


def exit_code_of(job: Job) -> int:
    """Return the job's own exit code; 1 for a job that did not succeed and has none, such as one that never started."""
    code = job.status.exit_code
    if str(job.status.state) == "succeeded":
        return code or 0
    return code if code is not None and 0 < code <= 255 else REFUSED


def _wait_for_start(client: LeptonAI, handle: JobHandle) -> None:
    """Return when there may be a log. One reason after the other is shown meanwhile."""
    from lepton_ai.sdk.wait import wait_for

    with Waiting(f"Job {handle.name}") as waiting:

        def has_started(job: Job) -> bool:
            state = str(job.status.state)
            if state in BEFORE_START:
                waiting.tell(job.metadata.version, state, job.status.reason.sentence)
            return state not in BEFORE_START

        handle.object = wait_for(client.jobs.collection, handle.object, has_started)


def _stop(handle: JobHandle) -> int:
    # A second Ctrl-C must not get in the way of the first one's request.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    notice(f"\nStopping job {handle.name}. To leave the next one running, use: lepton run --detach")
    try:
        handle.stop()
        signal.signal(signal.SIGINT, before)
        handle.wait()
    except Conflict:
        handle.refresh()  # It ended by itself just then.
    except KeyboardInterrupt:
        notice(f"It is still stopping: lepton job get {handle.name}")
        return INTERRUPTED
    notice(f"Job {handle.name} is {handle.state}.")
    return INTERRUPTED


def _tell_end(job: Job) -> None:
    if str(job.status.state) != "succeeded":
        notice(f"Job {job.name} {job.status.state}: {job.status.reason}".rstrip(": "))
