"""Bring objects that were written down (YAML, JSON) about: create what is not there, change what is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from lepton_ai.errors import InvalidInput
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.endpoint_handle import EndpointHandle
from lepton_ai.sdk.endpoints import Endpoints
from lepton_ai.sdk.job_handle import JobHandle
from lepton_ai.sdk.jobs import Jobs
from lepton_ai.sdk.task_request import words_of
from lepton_ai.sdk.uploads import Uploads
from lepton_ai.types.base import Metadata
from lepton_ai.types.endpoint import Endpoint
from lepton_ai.types.job import Job

KINDS = (Endpoint.KIND, Job.KIND)
OBJECTS_MAX = 1000
_FIELDS = ("kind", "metadata", "spec", "status")
_SENT = ("name", "labels")  # the rest of the metadata is the platform's own, and tells nothing new when it comes back

Handle = JobHandle | EndpointHandle
Wanted = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def apply(connection: Connection, project: str, wanted: Wanted) -> list[Handle]:
    """Bring each object about, in the order given; what was printed by `get --output json` is taken as it is.

    A spec may name a `workdir`, which is packed and uploaded. Everything is checked before anything is sent: raises
    InvalidInput with the number of the object that is wrong, and what the instance refuses with.
    """
    objects = [wanted] if isinstance(wanted, Mapping) else list(wanted)
    if len(objects) > OBJECTS_MAX:
        raise InvalidInput(
            f"{len(objects)} objects are given; {OBJECTS_MAX} are taken at once.", hint="Split the file."
        )
    for number, thing in enumerate(objects, start=1):
        _check(thing, f"Object {number}")
    return [_put(connection, thing["metadata"].get("project") or project, thing) for thing in objects]


def _put(connection: Connection, project: str, thing: Mapping[str, Any]) -> Handle:
    metadata: dict[str, JsonValue] = {key: thing["metadata"][key] for key in _SENT if key in thing["metadata"]}
    spec = dict(thing["spec"])
    workdir = spec.pop("workdir", None)
    if workdir is not None:
        spec["bundle"] = Uploads(connection, project).send_folder(Path(workdir).expanduser())
    if isinstance(spec.get("command"), str):
        spec["command"] = list(words_of(spec["command"]))
    door: Jobs | Endpoints = (Jobs if thing["kind"] == Job.KIND else Endpoints)(connection, project)
    return door.put(str(metadata["name"]), {"kind": thing["kind"], "metadata": metadata, "spec": spec})


def _check(thing: object, which: str) -> None:
    if not isinstance(thing, Mapping):
        raise InvalidInput(f"{which} is {type(thing).__name__}, not a mapping with kind, metadata and spec.")
    if thing.get("kind") not in KINDS:
        raise InvalidInput(f"{which} is of kind {thing.get('kind')!r}.", hint=f"Known: {', '.join(KINDS)}.")
    _refuse_unknown(thing, _FIELDS, which)
    for part in ("metadata", "spec"):
        if not isinstance(thing.get(part), Mapping):
            raise InvalidInput(f"{which} has no mapping `{part}`.")
    _refuse_unknown(thing["metadata"], Metadata.model_fields, f"{which}, metadata")
    if not isinstance(thing["metadata"].get("name"), str):
        raise InvalidInput(
            f"{which} has no metadata.name.", hint="A name is what is recognised when it is applied again."
        )
    workdir = thing["spec"].get("workdir")
    if workdir is not None and (not isinstance(workdir, str) or thing["spec"].get("bundle")):
        raise InvalidInput(f"{which}: `workdir` is the path of a folder, and stands in place of `bundle`.")


def _refuse_unknown(given: Mapping[str, object], known: Sequence[str] | Mapping[str, object], which: str) -> None:
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise InvalidInput(f"{which} has an unknown field {unknown[0]!r}.", hint=f"Known: {', '.join(sorted(known))}.")
