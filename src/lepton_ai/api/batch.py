"""Many objects of one kind made by one request: all of them in one transaction, or none."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Header, Response
from pydantic import Field

from lepton_ai.api import changes
from lepton_ai.api.access import Access, GuardedRoute, access_of
from lepton_ai.api.drafts import AnyDraft, Draft
from lepton_ai.api.openapi import Listing
from lepton_ai.errors import LeptonError
from lepton_ai.kernel.change import Change
from lepton_ai.types.base import AnyObject, Model

BATCH_MAX = 1000  # objects: 1,000 x 0.1 ms = 0.1 s for which nobody else can write
KEY_MAX = 128

S = TypeVar("S", bound=Model)
T = TypeVar("T", bound=AnyObject)


class Batch(Model, Generic[S]):
    """Objects to be made together."""

    items: Annotated[Sequence[Draft[S]], Field(min_length=1, max_length=BATCH_MAX)]


def batch_routes(kind: type[AnyObject], shown: Callable[[Any], AnyObject]) -> APIRouter:
    """Return create of many at once; `shown` hides what is secret."""
    router = APIRouter(prefix="/api/v1/projects/{project}", route_class=GuardedRoute, tags=[kind.PLURAL])
    spec: Any = kind.model_fields["spec"].annotation
    page: Any = Listing[kind]  # type: ignore[valid-type]

    @router.post(
        f"/{kind.PLURAL}:batch",
        operation_id=f"{kind.KIND}.create_many",
        status_code=201,
        responses={201: {"model": page}},
    )
    def create_objects(
        gate: Annotated[Access, Depends(access_of)],
        batch: Batch[spec],
        key: Annotated[str, Header(alias="Idempotency-Key", max_length=KEY_MAX)] = "",
    ) -> Response:
        """Make all of them, or none. Answers in the order asked for; the same Idempotency-Key makes no second ones."""
        made, is_new = create_many(gate, kind, batch.items, key)
        # As the store writes them: to have each checked against its model again took half of the request's time.
        body = ",".join(shown(one).model_dump_json() for one in made)
        return Response(f'{{"items":[{body}],"next":""}}', 201 if is_new else 200, media_type="application/json")

    return router


def create_many(gate: Access, kind: type[T], drafts: Sequence[AnyDraft], key: str) -> tuple[Sequence[T], bool]:
    """Store new objects; return them, and False if an earlier request with the same key did so already."""
    keys = _keys(key, len(drafts))
    known = _known(gate, kind, keys)
    if known:
        return known, False
    wanted: list[Change] = []
    more: list[Change] = []
    for number, draft in enumerate(drafts):
        try:
            thing, others = changes.prepare(gate, kind, draft, gate.project)
        except LeptonError as error:
            raise type(error)(f"Item {number} of {len(drafts)}: {error.message}", hint=error.hint) from error
        wanted.append(changes.submission(gate, thing, keys[number] if keys else ""))
        more += others
    rest = f"and {len(wanted) - 1} more" if len(wanted) > 1 else ""
    audit = gate.audit(kind.KIND, wanted[0].object.name, rest)
    try:
        stored: Any = changes.commit_all(gate, [*wanted, *more], audit)[: len(wanted)]
    except changes.Lost:
        known = _known(gate, kind, keys)
        if not known:
            raise
        return known, False
    return stored, True


def _keys(key: str, count: int) -> list[str]:
    """Return a key for each object. They differ from those of single creates, and are as long whatever was sent."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return [f"batch-{digest}-{number}" for number in range(count)] if key else []


def _known(gate: Access, kind: type[T], keys: Sequence[str]) -> list[T]:
    found = gate.core.store.by_idempotency_keys(kind, gate.project, keys) if keys else {}
    return [found[key] for key in keys if key in found]
