"""What every stored object has: metadata, a spec (wanted) and a status (seen)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

# A name is part of URLs, file names and DNS labels: 63 is the longest DNS label (RFC 1035 section 2.3.4).
NAME_MAX_LENGTH = 63
NAME_PATTERN = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
LABELS_MAX = 64
DEFAULT_PROJECT = "default"


def check_name(name: str) -> str:
    """Return `name` if it may name an object; raises ValueError with the rule otherwise."""
    if len(name) > NAME_MAX_LENGTH or not NAME_PATTERN.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is not a name: use 1 to {NAME_MAX_LENGTH} small letters, digits and inner hyphens"
        )
    return name


def form(pattern: str, words: str) -> AfterValidator:
    """Return a check that a string matches `pattern`; what it says of one that does not is `words`, not the pattern."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"{value[:80]!r} is not {words}")
        return value

    return AfterValidator(check)


Name = Annotated[str, AfterValidator(check_name)]
Label = Annotated[str, StringConstraints(max_length=256)]


class Model(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_timedelta="float",
        protected_namespaces=(),
        defer_build=True,  # a third of the SDK's import time went into models that most programs never use
    )

    def replace(self, **changes: Any) -> Self:
        """Return a copy with `changes`; the values are trusted, since they come from our own code."""
        return self.model_copy(update=changes)


class Metadata(Model):
    """Who an object is. `version` counts its changes; a put names the version that it read."""

    id: str = ""
    name: str = ""
    project: str = DEFAULT_PROJECT
    version: int = 0
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None
    created_by: str = ""
    labels: Mapping[str, Label] = Field(default_factory=dict, max_length=LABELS_MAX)
    owner_id: str = ""  # The object that made this one and answers for it; empty when a user did.
    deletion_requested_at: AwareDatetime | None = None


Spec = TypeVar("Spec", bound=Model)
Status = TypeVar("Status", bound="ObjectStatus")


class Reason(Model):
    """Why: a code for machines and a sentence for people."""

    code: str = ""
    sentence: str = ""

    def __str__(self) -> str:
        return self.sentence or self.code


class ObjectStatus(Model):
    """What is seen of an object. Subclasses add their own fields and a `state` enum."""

    reason: Reason = Reason()


class Object(Model, Generic[Spec, Status]):
    """One stored thing. `KIND` names it in the API, the store and the CLI."""

    KIND: ClassVar[str] = ""
    PLURAL: ClassVar[str] = ""

    metadata: Metadata = Metadata()
    spec: Spec
    status: Status

    @property
    def id(self) -> str:
        return self.metadata.id

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def project(self) -> str:
        return self.metadata.project

    def is_final(self) -> bool:
        """Tell whether nothing will ever change again, so that the reconcile loop may forget it."""
        return False

    def with_status(self, **changes: Any) -> Self:
        """Return a copy whose status has `changes`."""
        return self.replace(status=self.status.replace(**changes))


AnyObject = Object[Any, Any]


class Page(Model):
    """One page of a list as the API returns it; `next` is the cursor of the following page, empty at the end."""

    items: tuple[Any, ...] = ()
    next: str = ""


def to_rfc3339(moment: datetime) -> str:
    """Return `moment` as RFC 3339 with microseconds, in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
