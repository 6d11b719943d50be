"""A bucket: objects by name, sealed with keys of the project, in whichever store the platform uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from lepton_ai.types.base import Model, Object, ObjectStatus

OBJECT_NAME_BYTES_MAX = 1024  # what S3 takes
OBJECT_NAME_PART_BYTES_MAX = 240  # a file name has at most 255 bytes, and stores add a few while they write
KEYS_MAX = 1000  # unwrapped in one request: 1,000 x 88 characters are 88 kB


class BucketState(StrEnum):
    READY = "ready"
    DELETING = "deleting"


MOVES: Mapping[BucketState, frozenset[BucketState]] = {
    BucketState.READY: frozenset({BucketState.DELETING}),
    BucketState.DELETING: frozenset(),
}


class BucketSpec(Model):
    """What a bucket is for."""

    description: Annotated[str, StringConstraints(max_length=1024)] = ""


class BucketStatus(ObjectStatus):
    state: BucketState = BucketState.READY


class Bucket(Object[BucketSpec, BucketStatus]):
    KIND: ClassVar[str] = "bucket"
    PLURAL: ClassVar[str] = "buckets"

    kind: Literal["bucket"] = "bucket"
    spec: BucketSpec = BucketSpec()
    status: BucketStatus = BucketStatus()


class StoreKind(StrEnum):
    """What the objects of a platform lie in."""

    LOCAL = "local"  # a folder
    S3 = "s3"  # SeaweedFS, or any other server that speaks S3


class StoreTarget(Model):
    """Where the objects of one bucket lie, and what opens that door: what is found there is sealed.

    `location` is a folder, or the URL of an S3 server. All names begin with `prefix`.
    """

    kind: StoreKind
    location: str
    prefix: str
    s3_bucket: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: Annotated[str, Field(repr=False)] = ""


class WrappedKey(Model):
    """A data key for what is written, in base64: plain, and wrapped for the header of each object."""

    wrapped: str
    plain: Annotated[str, Field(repr=False)]


class Grant(Model):
    """What a caller gets who may read a bucket: ids that objects are bound to, and the store. `data_key`: may write."""

    project_id: str
    bucket_id: str
    target: StoreTarget
    lifetime: timedelta  # after which a client asks for another
    data_key: WrappedKey | None = None


Wrapped = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]{86}==$")]


class WrappedKeys(Model):
    """Data keys as they stand in headers of objects, each 64 bytes in base64."""

    wrapped: Annotated[tuple[Wrapped, ...], Field(max_length=KEYS_MAX)]


class PlainKeys(Model):
    """Data keys in base64, in the order in which they were asked for; empty for one that is not the bucket's."""

    plain: Annotated[tuple[str, ...], Field(repr=False)]


class KeyVersion(Model):
    """The version of the project's key that wraps from now on."""

    version: int


def check_object_name(name: str) -> str:
    """Return `name` if it may name an object; raises ValueError with the rule otherwise.

    Every store and every file system can hold such a name as it is, and none leads out of its bucket.
    """
    size = len(name.encode(errors="replace"))
    if not 1 <= size <= OBJECT_NAME_BYTES_MAX:
        raise ValueError(f"the name {name[:40]!r} has {size:,} bytes, names have 1 to {OBJECT_NAME_BYTES_MAX:,}")
    if not all(character.isprintable() and character != "\\" for character in name):
        raise ValueError(f"the name {name[:80]!r} holds a backslash or something that cannot be printed")
    if re.search(r"#\d+$", name):
        raise ValueError(f"the name {name[:80]!r} ends with `#` and digits, as unfinished files do")
    for part in name.split("/"):
        if part in {"", ".", ".."}:
            raise ValueError(f"the name {name[:80]!r} has a part that is empty, `.` or `..`")
        if len(part.encode()) > OBJECT_NAME_PART_BYTES_MAX:
            raise ValueError(
                f"the part {part[:40]!r} of the name has {len(part.encode())} bytes, over {OBJECT_NAME_PART_BYTES_MAX}"
            )
    return name


ObjectName = Annotated[str, AfterValidator(check_object_name)]
