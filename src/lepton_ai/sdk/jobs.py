"""The jobs of a project: submit, look up, list, watch, stop, delete."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from pydantic import JsonValue

from lepton_ai.sdk.collection import PAGE, Change, Collection
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.job_handle import JOB_COLUMNS, JobHandle
from lepton_ai.sdk.listing import Listing
from lepton_ai.sdk.task_request import Command, JobOptions, Prepared, TaskRequest, check_options, prepare
from lepton_ai.sdk.uploads import Progress, Uploads
from lepton_ai.types.job import Job, JobSpec


class Jobs:
    """`lepton.jobs`."""

    def __init__(self, connection: Connection, project: str) -> None:
        self.collection = Collection(connection, Job, project)
        self._uploads = Uploads(connection, project)

    def create(
        self,
        command: Command = (),
        *,
        function: Callable[..., object] | None = None,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
        **options: Unpack[JobOptions],
    ) -> JobHandle:
        """Submit a command, or a function with its arguments; `TaskRequest` says what each option means.

        Raises InvalidInput before anything is sent if the request is wrong. A repeat of the request by the network
        makes no second job.
        """
        check_options(options)
        return self.submit(TaskRequest(command, function=function, args=args, kwargs=kwargs or {}, **options))

    def submit(self, request: TaskRequest | JobSpec) -> JobHandle:
        """Submit what was written down before; uploads its working directory and its call first."""
        return self._handle(self.collection.create(self._draft(prepare(request))))

    def create_many(self, requests: Iterable[TaskRequest | JobSpec]) -> builtins.list[JobHandle]:
        """Submit many jobs with few requests, in this order: some hundreds in one transaction, all of them or none.

        Everything is checked before anything is sent; what an array can say costs less still. Raises what the instance
        refuses with, which names the item by its place in its part: the parts before are submitted then.
        """
        prepared = [prepare(request) for request in requests]
        sent: dict[Path, str] = {}
        return builtins.list(
            map(self._handle, self.collection.create_many([self._draft(one, sent) for one in prepared]))
        )

    def _draft(self, prepared: Prepared, sent: dict[Path, str] | None = None) -> JsonValue:
        """Upload what the job needs, but for the folders in `sent`, and return what is asked of the core."""
        spec, known = prepared.spec, {} if sent is None else sent
        if prepared.workdir is not None:
            if prepared.workdir not in known:
                known[prepared.workdir] = self._uploads.send_folder(prepared.workdir)
            spec = spec.replace(bundle=known[prepared.workdir])
        if prepared.call:
            self._uploads.send_call(prepared.call)
        metadata: dict[str, JsonValue] = {"labels": dict(prepared.labels)}
        if prepared.name:
            metadata["name"] = prepared.name
        # What is left out keeps the core's default, which may be younger than this client's.
        return {"metadata": metadata, "spec": spec.model_dump(mode="json", exclude_defaults=True)}

    def get(self, name: str) -> JobHandle:
        """Return the newest job of that name (or the one with that id); raises NotFound."""
        return self._handle(self.collection.get(name))

    def list(self, *, limit: int = PAGE, before: str = "") -> Listing[JobHandle]:
        """Return a page of jobs, newest first; `before` is the `next` of the page before."""
        items, following = self.collection.page(limit=limit, before=before)
        return Listing(tuple(map(self._handle, items)), JOB_COLUMNS, following)

    def each(self) -> Iterator[JobHandle]:
        """Yield every job, newest first."""
        return map(self._handle, self.collection.each())

    def stop(self, name: str) -> JobHandle:
        """Ask a job to end gracefully."""
        return self._handle(self.collection.stop(name))

    def delete(self, name: str) -> Job:
        """Stop a job if it runs, and remove it."""
        return self.collection.delete(name)

    def watch(self, since: str = "") -> Iterator[Change[Job]]:
        """Yield changes of the project's jobs, for ever; without `since`, first those that are live now."""
        return self.collection.watch(since)

    def put(self, name: str, draft: JsonValue) -> JobHandle:
        """Create the job, or bring the one of that name to `draft`: what `lepton.apply` does."""
        return self._handle(self.collection.put(name, draft))

    def upload(self, workdir: str | Path, progress: Progress | None = None) -> str:
        """Upload a working directory and return the digest that `bundle=` takes, for many jobs of one folder.

        `progress` is called with the bytes sent so far and in all; not at all if the project has the folder already.
        """
        return self._uploads.send_folder(Path(workdir).expanduser(), progress)

    def _handle(self, job: Job) -> JobHandle:
        return JobHandle(self.collection, job)
