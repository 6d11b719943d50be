"""A bucket of a running platform, and the door to the same place for those who go straight to the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from obstore.store import LocalStore, S3Store

from benchmarks.instance import running_instance
from lepton_ai.sdk.bucket_handle import BucketHandle
from lepton_ai.sdk.collection import read
from lepton_ai.sdk.connection import Call
from lepton_ai.sealing import segments
from lepton_ai.types.bucket import Grant, StoreKind, StoreTarget

NAME = "benchmark"


class Rig(NamedTuple):
    """`straight` is obstore's own store at `prefix`, where the bucket's objects lie."""

    bucket: BucketHandle
    target: StoreTarget
    straight: LocalStore | S3Store


class NoCipher:
    """Copies where AES-GCM would encrypt."""

    def __init__(self, key: bytes) -> None:
        del key

    def encrypt_into(self, nonce: bytes, data: memoryview, associated: bytes, out: memoryview) -> int:
        out[: len(data)] = data
        return len(out)

    def decrypt_into(self, nonce: bytes, data: memoryview, associated: bytes, out: memoryview) -> int:
        out[:] = data[: len(out)]
        return len(out)


@contextmanager
def encryption_off() -> Iterator[None]:
    """Leave out the cipher, and nothing else, for a while: a measurement, never a mode of the product."""
    names = vars(segments)
    kept = names["AESGCM"]
    names["AESGCM"] = NoCipher
    try:
        yield
    finally:
        names["AESGCM"] = kept


@contextmanager
def running_store(kind: str) -> Iterator[Rig]:
    """Start a platform with a store of a kind, make a bucket, and end both when the block ends."""
    with running_instance(f'storage = "{kind}"\n') as instance, instance.connect() as lepton:
        lepton.buckets.create(NAME)
        grants = Call("POST", lepton.buckets.collection.path_of(NAME, "write"))
        target = read(Grant, lepton.buckets.collection.connection.fetch(grants)).target
        yield Rig(lepton.bucket(NAME), target, _straight(target))


def _straight(target: StoreTarget) -> LocalStore | S3Store:
    if target.kind is StoreKind.LOCAL:
        return LocalStore(target.location)
    return S3Store(
        target.s3_bucket,
        endpoint=target.location,
        region="us-east-1",
        access_key_id=target.access_key_id,
        secret_access_key=target.secret_access_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
