"""A bucket goes when it is asked to, and not before its objects are gone."""

from __future__ import annotations

from datetime import UTC, datetime

from lepton_ai.kernel.change import Change, Verb
from lepton_ai.services.storage.decide import decide
from lepton_ai.types.base import Metadata
from lepton_ai.types.bucket import Bucket, BucketState, BucketStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def bucket(state: BucketState, *, is_to_go: bool) -> Bucket:
    metadata = Metadata(id="bucket-1", name="data", deletion_requested_at=NOW if is_to_go else None)
    return Bucket(metadata=metadata, status=BucketStatus(state=state))


def only_change(changes: tuple[Change, ...]) -> Change:
    (change,) = changes
    return change


def test_a_bucket_that_is_in_use_is_left_alone() -> None:
    assert decide(bucket(BucketState.READY, is_to_go=False), is_empty=True).changes == ()


def test_a_bucket_that_is_to_go_says_so_and_is_emptied_first() -> None:
    change = only_change(decide(bucket(BucketState.READY, is_to_go=True), is_empty=True).changes)
    assert change.verb is Verb.UPDATE
    assert change.object.status.state is BucketState.DELETING
    assert change.object.status.reason.sentence == "Its objects are being deleted."


def test_a_bucket_that_is_not_empty_stays() -> None:
    deleting = decide(bucket(BucketState.READY, is_to_go=True), is_empty=False).changes[0].object
    assert isinstance(deleting, Bucket)
    assert decide(deleting, is_empty=False).changes == ()


def test_a_bucket_that_is_empty_goes() -> None:
    assert only_change(decide(bucket(BucketState.DELETING, is_to_go=True), is_empty=True).changes).verb is Verb.DELETE
