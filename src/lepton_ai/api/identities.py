"""Secrets, tokens, users and projects: what a user sends differs from what is stored."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AfterValidator, AwareDatetime, StringConstraints

from lepton_ai.api import changes
from lepton_ai.api.access import GuardedRoute
from lepton_ai.api.drafts import Draft
from lepton_ai.api.kinds import (
    Gate,
    IdempotencyKey,
    changing_routes,
    creating_routes,
    deleting_routes,
    reading_routes,
    shown,
)
from lepton_ai.errors import Conflict, InvalidInput
from lepton_ai.kernel import auth, change
from lepton_ai.kernel.change import Note
from lepton_ai.kernel.identifiers import new_name
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.types.base import Model, Name, to_rfc3339
from lepton_ai.types.identity import Project, Secret, SecretSpec, Token, TokenSpec, User

SECRET_MAX = 65536  # bytes: Linux takes at most 128 kB for a variable with its name (MAX_ARG_STRLEN)


def _check_size(value: str) -> str:
    size = len(value.encode())
    if size > SECRET_MAX:
        raise ValueError(f"has {size:,} bytes, at most {SECRET_MAX:,}: keep it in a file of the working directory")
    return value


class SecretDraft(Model):
    """The plain value, on its way in only."""

    value: Annotated[str, StringConstraints(min_length=1), AfterValidator(_check_size)]


class TokenDraft(Model):
    """Whom the token speaks for, and until when; without an end it holds until it is deleted."""

    user: Name
    expires_at: AwareDatetime | None = None


def routes() -> list[APIRouter]:
    """Return the routes of secrets, tokens, users and projects."""
    routers = [_secrets(), reading_routes(Secret, in_project=True), deleting_routes(Secret, in_project=True), _tokens()]
    routers += [reading_routes(Token, in_project=False), deleting_routes(Token, in_project=False)]
    for kind in (User, Project):
        routers += [reading_routes(kind, in_project=False), creating_routes(kind, in_project=False)]
        routers += [changing_routes(kind, in_project=False), deleting_routes(kind, in_project=False)]
    return routers


def _secrets() -> APIRouter:
    router = APIRouter(prefix="/api/v1/projects/{project}/secrets", route_class=GuardedRoute, tags=["secrets"])

    @router.post("", operation_id="secret.create", status_code=201)
    def set_secret(gate: Gate, draft: Draft[SecretDraft], response: Response) -> Secret:
        """Store a secret, or give the one of that name a new value."""
        name = draft.metadata.name
        if name is None:
            raise InvalidInput("A secret needs a name.", hint="Send metadata.name.")
        before = gate.core.store.look_up(Secret, gate.project, name)
        made = before or changes.build(gate, Secret, SecretSpec(), gate.project, draft.metadata)
        made = made.replace(
            metadata=made.metadata.replace(labels=dict(draft.metadata.labels)),
            spec=SecretSpec(sealed=gate.core.secrets.seal(draft.spec.value, f"{gate.project}/{name}")),
        )
        note = Note("set", f"Set by {gate.caller.user}.")
        response.status_code = 200 if before else 201
        stored: Secret = changes.commit(gate, change.update(made, note) if before else change.create(made, note))
        return shown(stored)  # type: ignore[no-any-return]

    return router


def _tokens() -> APIRouter:
    router = APIRouter(prefix="/api/v1/tokens", route_class=GuardedRoute, tags=["tokens"])

    @router.post("", operation_id="token.create", status_code=201)
    def create_token(gate: Gate, draft: Draft[TokenDraft], key: IdempotencyKey = "") -> dict[str, Any]:
        """Make a token; this is the only time that it is shown."""
        user = changes.find(gate, User, draft.spec.user, in_project=False)
        now = gate.core.clock.now()
        if draft.spec.expires_at is not None and draft.spec.expires_at <= now:
            raise InvalidInput(
                f"spec.expires_at: {draft.spec.expires_at.isoformat()} is past; it is {to_rfc3339(now)}.",
                hint="Name a later moment, or none.",
            )
        if key and gate.core.store.by_idempotency_key(Token, PLATFORM_PROJECT, key) is not None:
            raise Conflict(
                "An earlier request with this key made the token already, and a token is shown only once.",
                hint="If its answer was lost: delete that token and make another one.",
            )
        plain = auth.new_token()
        spec = TokenSpec(user=user.name, expires_at=draft.spec.expires_at, sha256=auth.digest(plain))
        made = changes.build(gate, Token, spec, PLATFORM_PROJECT, draft.metadata)
        made = made if made.name else made.replace(metadata=made.metadata.replace(name=new_name(user.name)))
        note = Note("created", f"Made by {gate.caller.user} for {user.name}.")
        stored = changes.commit(gate, change.create(made, note, idempotency_key=key))
        return {"token": plain, "object": shown(stored)}

    return router
