"""Pure: what a bucket needs next."""

from __future__ import annotations

from lepton_ai.kernel.change import Note, advance, delete
from lepton_ai.kernel.decision import Decision
from lepton_ai.types.base import Reason
from lepton_ai.types.bucket import MOVES, Bucket, BucketState

EMPTYING = Reason(code="emptying", sentence="Its objects are being deleted.")


def decide(bucket: Bucket, *, is_empty: bool) -> Decision:
    """Return the steps that bring a bucket closer to what its owner asked for: it goes once nothing lies in it.

    `is_empty` says that its objects were deleted after it took no more; what it holds otherwise is not known.
    """
    if bucket.metadata.deletion_requested_at is None:
        return Decision()
    if bucket.status.state is BucketState.DELETING and is_empty:
        return Decision((delete(bucket, Note("deleted", "Its objects are gone, and so is the bucket.")),))
    status = bucket.status.replace(state=BucketState.DELETING, reason=EMPTYING)
    return Decision(advance(bucket, MOVES, status))
