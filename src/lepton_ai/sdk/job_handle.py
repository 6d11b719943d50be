"""One job as its owner holds it: look at it, wait for it, read its log and its result, stop it."""

from __future__ import annotations

from lepton_ai.errors import InvalidInput, JobFailed, NotFound
from lepton_ai.sdk.collection import Collection
from lepton_ai.sdk.connection import Call
from lepton_ai.sdk.listing import Columns, Listing
from lepton_ai.sdk.logs import LogRequest, LogStream
from lepton_ai.sdk.notebook import card
from lepton_ai.sdk.wait import Timeout, wait_for
from lepton_ai.types.event import Event
from lepton_ai.types.explanation import Explanation
from lepton_ai.types.job import Job, JobSpec, JobState, JobStatus
from lepton_ai.types.quantity import format_duration

LAST_LINES = 20  # of the log, told with a failure
LAST_BYTES = 8192
LAST_LINES_SECONDS_MAX = 5.0


class JobHandle:
    """A job that was submitted. It is as it was last seen: `refresh()` and `wait()` look again."""

    def __init__(self, jobs: Collection[Job], job: Job) -> None:
        self._jobs = jobs
        self.object = job

    @property
    def name(self) -> str:
        return self.object.name

    @property
    def id(self) -> str:
        return self.object.id

    @property
    def project(self) -> str:
        return self.object.project

    @property
    def spec(self) -> JobSpec:
        return self.object.spec

    @property
    def status(self) -> JobStatus:
        return self.object.status

    @property
    def state(self) -> JobState:
        return self.object.status.state

    def refresh(self) -> JobHandle:
        """Look at the job again."""
        self.object = self._jobs.get(self.id)
        return self

    def wait(self, timeout: Timeout = None, *, raise_on_failure: bool = False) -> JobHandle:
        """Return once the job has ended, in whatever way; survives a restart of the core.

        Raises TimedOut after `timeout` (the job goes on). With `raise_on_failure`, raises JobFailed with the reason
        and the last lines of the log unless the job succeeded.
        """
        self.object = wait_for(self._jobs, self.object, Job.is_final, timeout)
        if raise_on_failure and self.state is not JobState.SUCCEEDED:
            raise self._failure()
        return self

    def logs(self, *, follow: bool = False, rank: int = -1, tail_bytes: int = 0) -> LogStream:
        """Return the log of all replicas (or of one `rank`) as an iterator of lines; printing it shows the text.

        `follow` goes on until the job has ended, across broken connections and restarts of the core.
        """
        request = LogRequest(follow=follow, rank=rank, tail_bytes=tail_bytes)
        return LogStream(self._jobs.connection, self._jobs.path_of(self.id, "logs"), request)

    def result(self, timeout: Timeout = None) -> object:
        """Wait for the job and return what its function returned.

        Raises JobFailed with the traceback if the function raised, TimedOut, and InvalidInput for a command's job.
        The value is unpickled here: it is as trustworthy as the function that made it.
        """
        from lepton_ai.sdk.function_call import read_result  # cloudpickle costs 20 ms that commands need not pay.

        if not self.spec.function:
            raise InvalidInput(f"The job {self.name!r} runs a command and returns no value.", hint="Read its logs().")
        self.wait(timeout)
        try:
            payload = self._jobs.connection.send(Call("GET", self._jobs.path_of(self.id, "result"))).content
        except NotFound:
            raise self._failure() from None
        return read_result(payload)

    def stop(self) -> JobHandle:
        """Ask the job to end: SIGTERM, then SIGKILL after its grace period. Raises Conflict if it has ended."""
        self.object = self._jobs.stop(self.id)
        return self

    def delete(self) -> JobHandle:
        """Stop the job if it runs, and remove it with its log and its result."""
        self.object = self._jobs.delete(self.id)
        return self

    def events(self) -> Listing[Event]:
        """Return what happened to the job, oldest first."""
        return self._jobs.events(self.id)

    def explain(self) -> Explanation:
        """Tell why the job runs where it does, or why it waits."""
        return self._jobs.explain(self.id)

    def __repr__(self) -> str:
        return f"<JobHandle {self.name}: {self.state}>"

    def _repr_html_(self) -> str:
        status = self.status
        return card(
            f"Job {self.name}",
            (
                ("state", status.state.value),
                ("reason", str(status.reason)),
                ("exit code", "" if status.exit_code is None else str(status.exit_code)),
                ("took", took(self.object)),
                ("command", " ".join(self.spec.command)),
                ("id", self.id),
            ),
        )

    def _failure(self) -> JobFailed:
        reason = str(self.status.reason) or f"exit code {self.status.exit_code}"
        lines = self._last_lines()
        shown = f"\n\n{lines}\n" if lines else ""
        verb = "failed" if self.state is JobState.FAILED else f"is {self.state}"
        return JobFailed(
            f"The job {self.name!r} {verb}: {reason.rstrip('.')}.{shown}",
            hint=f"See: lepton logs {self.name}",
        )

    def _last_lines(self) -> str:
        request = LogRequest(tail_bytes=LAST_BYTES, seconds_max=LAST_LINES_SECONDS_MAX)
        stream = LogStream(self._jobs.connection, self._jobs.path_of(self.id, "logs"), request)
        return "\n".join(str(stream).splitlines()[-LAST_LINES:])


def took(job: Job) -> str:
    """Return how long a job ran, measured from its first start to its end; empty if it did not."""
    status = job.status
    if status.started_at is None or status.finished_at is None:
        return ""
    return format_duration(status.finished_at - status.started_at)


def _row(handle: JobHandle) -> tuple[str, ...]:
    status = handle.status
    at = status.submitted_at
    return (handle.name, status.state.value, str(status.reason), took(handle.object), f"{at:%F %T}" if at else "")


JOB_COLUMNS: Columns[JobHandle] = Columns(("job", "state", "reason", "took", "submitted (UTC)"), _row)
