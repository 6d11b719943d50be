"""Secrets, tokens, users and projects: what a user sends differs from what is stored."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AwareDatetime, StringConstraints

from lepton_ai.api import changes
from lepton_ai.api.access import GuardedRoute
from lepton_ai.api.kinds import Draft, Gate, IdempotencyKey, changing_routes, creating_routes, reading_routes, shown
from lepton_ai.errors import InvalidInput
from lepton_ai.kernel import auth, change
from lepton_ai.kernel.change import Note
from lepton_ai.kernel.identifiers import new_name
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.types.base import Model, Name
from lepton_ai.types.identity import Project, Secret, SecretSpec, Token, TokenSpec, User

SECRET_MAX = 65536  # bytes: an environment holds no more than 128 kB a string on Linux


class SecretDraft(Model):
    """The plain value, on its way in only."""

    value: Annotated[str, StringConstraints(min_length=1, max_length=SECRET_MAX)]


class TokenDraft(Model):
    """Whom the token speaks for, and until when; without an end it holds until it is deleted."""

    user: Name
    expires_at: AwareDatetime | None = None


def routes() -> list[APIRouter]:
    """Return the routes of secrets, tokens, users and projects."""
    routers = [_secrets(), reading_routes(Secret, in_project=True), _deleting(Secret, in_project=True), _tokens()]
    routers += [reading_routes(Token, in_project=False), _deleting(Token, in_project=False)]
    for kind in (User, Project):
        routers += [reading_routes(kind, in_project=False), creating_routes(kind, in_project=False)]
        routers.append(changing_routes(kind, in_project=False))
    return routers


def _secrets() -> APIRouter:
    router = APIRouter(prefix="/api/v1/projects/{project}/secrets", route_class=GuardedRoute, tags=["secrets"])

    @router.post("", operation_id="secret.create", status_code=201)
    def set_secret(gate: Gate, draft: Draft[SecretDraft]) -> Secret:
        """Store a secret, or give the one of that name a new value."""
        name = draft.metadata.name
        if name is None:
            raise InvalidInput("A secret needs a name.", hint="Send metadata.name.")
        before = gate.core.store.look_up(Secret, gate.project, name)
        made = before or changes.build(gate, Secret, SecretSpec(), gate.project, dict(draft.metadata.labels))
        made = made.replace(
            metadata=made.metadata.replace(name=name),
            spec=SecretSpec(sealed=gate.core.secrets.seal(draft.spec.value, f"{gate.project}/{name}")),
        )
        note = Note("set", f"Set by {gate.caller.user}.")
        stored: Secret = changes.commit(gate, change.update(made, note) if before else change.create(made, note))
        return shown(stored)  # type: ignore[no-any-return]

    return router


def _tokens() -> APIRouter:
    router = APIRouter(prefix="/api/v1/tokens", route_class=GuardedRoute, tags=["tokens"])

    @router.post("", operation_id="token.create", status_code=201)
    def create_token(gate: Gate, draft: Draft[TokenDraft], key: IdempotencyKey = "") -> dict[str, Any]:
        """Make a token; this is the only time that it is shown."""
        user = gate.core.store.find(User, PLATFORM_PROJECT, draft.spec.user)
        plain = auth.new_token()
        spec = TokenSpec(user=user.name, expires_at=draft.spec.expires_at, sha256=auth.digest(plain))
        made = changes.build(gate, Token, spec, PLATFORM_PROJECT, dict(draft.metadata.labels))
        name = draft.metadata.name or new_name(user.name)
        made = made.replace(metadata=made.metadata.replace(name=name))
        note = Note("created", f"Made by {gate.caller.user} for {user.name}.")
        stored = changes.commit(gate, change.create(made, note, idempotency_key=key))
        return {"token": plain, "object": shown(stored)}

    return router


def _deleting(kind: type[Secret] | type[Token], *, in_project: bool) -> APIRouter:
    whole = changing_routes(kind, in_project=in_project)
    whole.routes = [route for route in whole.routes if getattr(route, "operation_id", "") == f"{kind.KIND}.delete"]
    return whole
