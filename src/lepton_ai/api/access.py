"""The one gate of the API: who calls, whether they may, and what the audit will say of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from lepton_ai.api.core import Core
from lepton_ai.api.json_body import StrictRequest
from lepton_ai.errors import Forbidden, LeptonError, NotFound, Unauthenticated
from lepton_ai.kernel.auth import Caller
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.types.event import AuditRecord, Outcome
from lepton_ai.types.membership import JOINING_USER, node_user
from lepton_ai.types.operation import OPERATIONS, Scope, may

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Access:
    """One admitted request. `audit` makes the record that is committed together with what the request changes."""

    core: Core
    caller: Caller
    operation: str
    project: str
    address: str
    request_id: str
    bearer: str = field(repr=False)

    def is_still_good(self) -> bool:
        """Tell whether the same request would be admitted now: a stream may outlive its token, role and project."""
        try:
            check(self.core, self.bearer, self.operation, self.project)
        except LeptonError:
            return False
        return True

    def audit(self, kind: str = "", name: str = "", detail: str = "") -> AuditRecord:
        """Return the audit record of this request about one object."""
        return AuditRecord(
            at=self.core.clock.now(),
            actor=self.caller.user,
            address=self.address,
            operation=self.operation,
            project=self.project,
            object_kind=kind,
            object_name=name,
            outcome=Outcome.ALLOWED,
            detail=detail,
            request_id=self.request_id,
        )


class GuardedRoute(APIRoute):
    """A route that asks the gate before it reads a byte of the body. Its `operation_id` names what it does."""

    @property
    def operation(self) -> str:
        """The operation that the caller must be allowed to do: to apply (PUT) is to update, by another way."""
        return str(self.operation_id).replace(".apply", ".update").removesuffix("_many")

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the gate in front."""
        inner = super().get_route_handler()
        operation = self.operation
        assert operation in OPERATIONS, f"{self.path}: operation {operation!r} is not in the table of permissions"

        async def handle(request: Request) -> Response:
            try:
                request.state.access = admit(request, operation)
            except (Unauthenticated, Forbidden) as refusal:
                await run_in_threadpool(_record, request, operation, refusal)
                raise
            try:
                return await inner(StrictRequest(request.scope, request.receive))
            except Forbidden as refusal:  # what the table lets through may still be refused for this object
                await run_in_threadpool(_record, request, operation, refusal)
                raise
            except HTTPException as error:
                # FastAPI says "400" to whatever goes wrong while a body is read; we know better.
                if isinstance(error.__cause__, LeptonError):
                    raise error.__cause__ from None
                raise

        return handle


def access_of(request: Request) -> Access:
    """Return what the gate found; for use with Depends."""
    access = request.state.access
    assert isinstance(access, Access)
    return access


def admit(request: Request, operation: str) -> Access:
    """Return the access of a request; raises Unauthenticated, Forbidden, and NotFound for a missing project."""
    core: Core = request.app.state.core
    bearer, project = bearer_of(request), str(request.path_params.get("project", ""))
    caller = check(core, bearer, operation, project)
    if OPERATIONS[operation].scope is Scope.NODE:
        _check_is_node(caller, operation, str(request.path_params.get("name", "")))
    return Access(core, caller, operation, project, address_of(request), request_id_of(request), bearer)


def check(core: Core, bearer: str, operation: str, project: str) -> Caller:
    """Return who holds the token if they may do the operation there; raises as `admit` does."""
    caller = core.gatekeeper.caller(bearer)
    if OPERATIONS[operation].scope is Scope.NODE:
        return caller
    if not may(caller.roles, operation, project):
        permission = OPERATIONS[operation]
        # The same words whether the project exists or not: names of foreign projects are not to be found out.
        where = {Scope.PROJECT: f"in project {project[:64]!r}", Scope.PLATFORM: "over the whole platform"}
        raise Forbidden(
            f"{caller.user!r} may not do {operation!r}: it takes the role {permission.role.value!r} "
            f"{where.get(permission.scope, 'in some project')}.",
            hint="Ask an administrator for the role.",
        )
    if OPERATIONS[operation].scope is Scope.PROJECT and not _is_project(core, project, operation):
        raise NotFound(f"There is no project {project[:64]!r}.", hint="See: lepton project list")
    return caller


def _check_is_node(caller: Caller, operation: str, name: str) -> None:
    """Raise Forbidden unless it is that node itself who asks, or a machine that joins; no role stands in for it."""
    if caller.user != (node_user(name) if name else JOINING_USER):
        raise Forbidden(
            f"{caller.user!r} may not do {operation!r}: only the machine itself may.",
            hint="Machines join with a token of their own: lepton node token",
        )


def bearer_of(request: Request) -> str:
    """Return the bearer token; empty if there is none. Two Authorization headers are none."""
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def address_of(request: Request) -> str:
    """Return the client's address. Only our own data plane reaches the core's socket, so its word is good."""
    forwarded = request.headers.get("x-forwarded-for", "").rsplit(",", maxsplit=1)[-1].strip()
    return (forwarded or (request.client.host if request.client else ""))[:64]


def request_id_of(request: Request) -> str:
    """Return the data plane's id of this request, or one of our own."""
    return request.headers.get("x-request-id", "")[:64] or secrets.token_hex(8)


def _is_project(core: Core, project: str, operation: str) -> bool:
    # What happens to nodes, users and the like is told under a project that is none.
    return core.gatekeeper.has_project(project) or (project == PLATFORM_PROJECT and operation == "event.list")


def _record(request: Request, operation: str, refusal: LeptonError) -> None:
    core: Core = request.app.state.core
    try:
        actor = core.gatekeeper.caller(bearer_of(request)).user
    except Unauthenticated:
        actor = UNKNOWN
    core.store.record(
        [
            AuditRecord(
                at=core.clock.now(),
                actor=actor,
                address=address_of(request),
                operation=operation,
                project=str(request.path_params.get("project", ""))[:64].replace("\0", "?"),
                outcome=Outcome.DENIED,
                detail=refusal.message,
                request_id=request_id_of(request),
            )
        ]
    )
