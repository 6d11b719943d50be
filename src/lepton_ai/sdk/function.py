"""`@lepton.function`: a Python function that can be run here as ever, or on the platform."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar, cast

from lepton_ai.errors import TooLarge
from lepton_ai.sdk.task_request import JobOptions, TaskRequest

if TYPE_CHECKING:
    from lepton_ai.sdk.job_handle import JobHandle
    from lepton_ai.sdk.jobs import Jobs

MAP_MAX = 10_000  # jobs of one map: as many as one job's array may have tasks

P = ParamSpec("P")
R = TypeVar("R")


class RemoteFunction(Generic[P, R]):
    """A decorated function. Calling it runs it here; `submit`, `remote` and `map` run it on the platform."""

    __name__: str

    def __init__(self, jobs: Jobs, function: Callable[P, R], options: JobOptions) -> None:
        self.function = function
        self.options = options
        self._jobs = jobs
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def request(self, *args: P.args, **kwargs: P.kwargs) -> TaskRequest:
        """Return the call as a request, for `lepton.jobs.submit` or the scheduler's advice."""
        return TaskRequest(function=self.function, args=args, kwargs=kwargs, **self.options)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Submit the call as a job, and return it at once; `.result()` waits for the value."""
        return self._jobs.submit(self.request(*args, **kwargs))

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the call on the platform and return its value; raises JobFailed with the remote traceback."""
        return cast("R", self.submit(*args, **kwargs).result())

    def map(self, values: Iterable[object]) -> Iterator[R]:
        """Submit one job for each value, all at once, and yield the results in the order of the values.

        Raises JobFailed at the first value whose job failed; the others go on. TooLarge above MAP_MAX values.
        """
        wanted = list(values)
        if len(wanted) > MAP_MAX:
            raise TooLarge(
                f"{len(wanted):,} values were given; one map takes {MAP_MAX:,}.", hint="Give each job several values."
            )
        options = JobOptions(**self.options)
        workdir = options.pop("workdir", None)
        if workdir is not None and wanted:
            options["bundle"] = self._jobs.upload(workdir)  # Packed once, not once for each value.
        requests = (TaskRequest(function=self.function, args=(value,), **options) for value in wanted)
        handles = self._jobs.create_many(requests)
        return (cast("R", handle.result()) for handle in handles)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Callable[P, R]]]:
        # A function that mentions another decorated one (or itself) takes the plain function along, never the client.
        return _itself, (self.function,)


def _itself(function: Callable[P, R]) -> Callable[P, R]:
    return function
