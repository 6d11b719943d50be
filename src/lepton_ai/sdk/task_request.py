"""What may be submitted: a command, a function with its arguments, or a spec; and the job that each amounts to."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypedDict, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from lepton_ai.errors import InvalidInput
from lepton_ai.sdk.function_call import pack_call
from lepton_ai.types.checkpoint import CheckpointPolicy
from lepton_ai.types.job import JobSpec, Retries
from lepton_ai.types.resources import Resources
from lepton_ai.types.task import Preemptible

# A text with one of these means something else to a shell than its words do, so a shell reads it.
_SHELL_SIGNS = frozenset("|&;<>()$`*?[]#~!{}\\\n")
LABEL_MAX = 256
FUNCTION_LABEL = "function"  # what the platform learns the duration of a function by

M = TypeVar("M", bound=BaseModel)
Command = str | Sequence[str]
Amount = float | str | timedelta  # seconds, "90s", "1h30m" or a timedelta


class JobOptions(TypedDict, total=False):
    """What `jobs.create` takes besides the program; the fields of TaskRequest have the same names and meanings."""

    name: str
    workdir: str | Path | None
    bundle: str
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    requirements: Sequence[str]
    resources: Resources | Mapping[str, object] | None
    replicas: int
    checkpoint: str | CheckpointPolicy | Mapping[str, object] | None
    nodes: int
    replicas_per_node: int
    array: int
    priority: int
    after: Sequence[str]
    timeout: Amount | None
    grace: Amount | None
    retries: int | Retries | Mapping[str, object] | None
    expected_duration: Amount | None
    preemptible: Preemptible | Mapping[str, object] | None
    max_cost: float | None
    due: Amount | datetime | None
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Work that may be submitted. Give `command` or `function`.

    A command is a list of words, or a text: one with shell signs (`|`, `$`, `*`...) is run by `sh -c`. `workdir` is
    packed and travels along. `secrets` maps an environment variable to the name of a secret. `resources` are as in
    `{"cpu": 2, "memory": "4GB", "gpu": "24GB..80GB:1"}`. `retries` as a number counts ends with a bad exit code.
    `preemptible`, as in `{"resumes": True, "restart": "2m"}`, lets it be stopped to make room, and start again later.
    `nodes` and `replicas_per_node` place a gang over exactly so many nodes, with as many replicas on each.
    `max_cost` is what all its attempts together may cost at the nodes' prices.
    `checkpoint` names the folder in the working directory of which the platform keeps each version that is complete.
    `due`, a moment or so long after submission, lets its weight rise as that comes near.
    """

    command: Command = ()
    function: Callable[..., object] | None = field(default=None, kw_only=True)
    args: Sequence[object] = field(default=(), kw_only=True)
    kwargs: Mapping[str, object] = field(default_factory=dict, kw_only=True)
    name: str = field(default="", kw_only=True)
    workdir: str | Path | None = field(default=None, kw_only=True)
    bundle: str = field(default="", kw_only=True)  # digest of a working directory that was uploaded before
    env: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    secrets: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    requirements: Sequence[str] = field(default=(), kw_only=True)
    resources: Resources | Mapping[str, object] | None = field(default=None, kw_only=True)
    replicas: int = field(default=1, kw_only=True)
    checkpoint: str | CheckpointPolicy | Mapping[str, object] | None = field(default=None, kw_only=True)
    nodes: int = field(default=0, kw_only=True)
    replicas_per_node: int = field(default=0, kw_only=True)
    array: int = field(default=0, kw_only=True)
    priority: int | None = field(default=None, kw_only=True)
    after: Sequence[str] = field(default=(), kw_only=True)
    timeout: Amount | None = field(default=None, kw_only=True)
    grace: Amount | None = field(default=None, kw_only=True)
    retries: int | Retries | Mapping[str, object] | None = field(default=None, kw_only=True)
    expected_duration: Amount | None = field(default=None, kw_only=True)
    preemptible: Preemptible | Mapping[str, object] | None = field(default=None, kw_only=True)
    max_cost: float | None = field(default=None, kw_only=True)
    due: Amount | datetime | None = field(default=None, kw_only=True)
    labels: Mapping[str, str] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked request: the spec, and what must be uploaded before it can run."""

    spec: JobSpec
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    call: bytes = field(default=b"", repr=False)
    workdir: Path | None = None


def prepare(request: TaskRequest | JobSpec) -> Prepared:
    """Check a request and pack its call; raises InvalidInput with what is wrong, before anything is sent."""
    if isinstance(request, JobSpec):
        return Prepared(request)
    if bool(request.command) == (request.function is not None):
        raise InvalidInput("Give either a command or a function.")
    if request.function is None and (request.args or request.kwargs):
        raise InvalidInput("Arguments are for a function.", hint="Write a command's arguments into the command.")
    labels, call, program = dict(request.labels), b"", {}  # type: dict[str, str], bytes, dict[str, object]
    if request.function is not None:
        call = pack_call(request.function, request.args, request.kwargs)
        program["function"] = f"sha256:{hashlib.sha256(call).hexdigest()}"
        labels.setdefault(FUNCTION_LABEL, name_of(request.function))
    else:
        program["command"] = words_of(request.command)
    workdir = Path(request.workdir).expanduser() if request.workdir is not None else None
    return Prepared(build(JobSpec, program | _said(request)), request.name, labels, call, workdir)


def check_options(options: JobOptions) -> None:
    """Raise InvalidInput for an option that there is not, with those that there are."""
    known = JobOptions.__annotations__.keys()
    unknown = sorted(options.keys() - known)
    if unknown:
        raise InvalidInput(f"A job has no option {unknown[0]!r}.", hint=f"Known: {', '.join(sorted(known))}.")


def words_of(command: Command) -> tuple[str, ...]:
    """Return a command as words; a text that only a shell understands becomes `sh -c TEXT`."""
    if not isinstance(command, str):
        return tuple(str(word) for word in command)
    first = command.split(maxsplit=1)[0] if command.strip() else ""
    if _SHELL_SIGNS.isdisjoint(command) and "=" not in first:
        try:
            return tuple(shlex.split(command))
        except ValueError as error:
            raise InvalidInput(
                f"The command {command[:80]!r} cannot be read: {error}.", hint="Close the quote."
            ) from error
    return ("sh", "-c", command)


def name_of(function: Callable[..., object]) -> str:
    """Return how a function is called in its module, as a label may hold it."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))[:LABEL_MAX]


def build(model: type[M], values: Mapping[str, object]) -> M:
    """Return `values` as a model; raises InvalidInput that names each place that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        places = []
        for item in error.errors():
            where = ".".join(str(part) for part in item["loc"])
            what = item["msg"].removeprefix("Value error, ")
            if item["type"] == "extra_forbidden":
                what = f"is not a field{_known_beside(model, item['loc'])}"
            places.append(f"{where}: {what}" if where else what)
        raise InvalidInput(f"{'; '.join(places[:5])}.") from error


def _known_beside(model: type[BaseModel], place: Sequence[int | str]) -> str:
    """Return the fields of the model in which `place` is, however deep; empty where it is in none."""
    for name in place[:-1]:
        field_here = model.model_fields.get(str(name))
        kinds = (field_here.annotation, *get_args(field_here.annotation)) if field_here else ()
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return ""
        model = inner
    return f"; known: {', '.join(sorted(model.model_fields))}"


_PLAIN = frozenset({"command", "function", "args", "kwargs", "name", "workdir", "labels", "retries"})


def _said(request: TaskRequest) -> dict[str, object]:
    """Return what the request says of the spec beyond its program; what it leaves out keeps the spec's default."""
    values = {item.name: getattr(request, item.name) for item in fields(request) if item.name not in _PLAIN}
    said = {name: value for name, value in values.items() if value is not None}
    if request.retries is not None:
        said["retries"] = {"failed": request.retries} if isinstance(request.retries, int) else request.retries
    return said
