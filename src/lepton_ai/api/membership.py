"""How machines join and leave the cluster, and what they tell of themselves meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from lepton_ai.api import changes
from lepton_ai.api.access import Access, GuardedRoute
from lepton_ai.api.core import Cluster
from lepton_ai.api.kinds import Gate
from lepton_ai.errors import Conflict, NotFound, Unauthenticated
from lepton_ai.kernel import auth, change, joining
from lepton_ai.kernel.change import Note
from lepton_ai.kernel.identifiers import new_id, new_name
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.types.base import AnyObject, Model
from lepton_ai.types.identity import Token, User
from lepton_ai.types.membership import (
    JOINING_USER,
    JoinAnswer,
    JoinRequest,
    Member,
    NodeReport,
    Renewal,
    RenewalRequest,
    node_user,
)
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task

NAMED_MAX = 5  # replicas that a refusal to remove a node names


class InvitationDraft(Model):
    """How long the join token may be used, in seconds."""

    seconds: Annotated[float, Field(gt=0, le=joining.INVITATION_MAX.total_seconds())] = (
        joining.INVITATION.total_seconds()
    )


class Invitation(Model):
    """A join token, shown this once: what is stored is its hash."""

    token: str
    expires_at: AwareDatetime


def routes() -> list[APIRouter]:
    """Return the routes of the cluster's members."""
    return [_inviting(), _joining(), _members(), _removing()]


def _inviting() -> APIRouter:
    router = APIRouter(prefix="/api/v1/cluster/tokens", route_class=GuardedRoute, tags=["cluster"])

    @router.post("", operation_id="node.invite", status_code=201)
    def invite(gate: Gate, draft: InvitationDraft) -> Invitation:
        """Make a token with which one machine may join; it is shown once, and tells how to know this instance."""
        cluster, now = _cluster(gate), gate.core.clock.now()
        expires_at = now + timedelta(seconds=draft.seconds)
        plain, sentence = auth.new_token(), f"Made by {gate.caller.user} for one machine to join."
        token, user = joining.invited(
            new_name("join"), auth.digest(plain), expires_at, sentence, lambda kind: new_id(kind, now)
        )
        has_user = gate.core.store.look_up(User, PLATFORM_PROJECT, JOINING_USER) is not None
        changes.commit(gate, token, *(() if has_user else (user,)))
        return Invitation(token=f"{plain}.{cluster.fingerprint()}", expires_at=expires_at)

    return router


def _joining() -> APIRouter:
    router = APIRouter(prefix="/api/v1/cluster/nodes", route_class=GuardedRoute, tags=["cluster"])

    @router.post("", operation_id="node.join", status_code=201)
    def join(gate: Gate, request: JoinRequest) -> JoinAnswer:
        """Make the machine that asks a node; its join token is used up by that."""
        core, cluster, now = gate.core, _cluster(gate), gate.core.clock.now()
        invitation = core.gatekeeper.token_of(gate.bearer)
        if invitation is None:
            raise Unauthenticated("The join token was used.", hint="Make another one: lepton node token")
        joining.check_request(request, cluster.versions, now)
        node = core.store.look_up(Node, PLATFORM_PROJECT, request.name)
        user = core.store.look_up(User, PLATFORM_PROJECT, node_user(request.name))
        holder = next((each for each in core.live(Member) if each.spec.address == request.address), None)
        joining.check_name(request, node, user, holder)
        cluster.call_back(request.address, request.call_back)
        signed = cluster.sign(request.certificate_request, request.name, request.address)
        plain = auth.new_token()
        grant = joining.Grant(auth.digest(plain), signed.expires_at)
        made = joining.joined(request, grant, lambda kind: new_id(kind, now))
        used = change.delete(invitation, Note("used", f"Node {request.name} joined with it."))
        with cluster.roster.changing():
            changes.commit(gate, made[0], *made[1:], used)
        return JoinAnswer(
            name=request.name,
            certificate=signed.certificate,
            authority=signed.authority,
            head=cluster.head,
            cluster_token=cluster.cluster_token(),
            node_token=plain,
        )

    return router


def _members() -> APIRouter:
    router = APIRouter(prefix="/api/v1/cluster/nodes", route_class=GuardedRoute, tags=["cluster"])

    @router.put("/{name}/report", operation_id="node.report", status_code=204)
    def report(gate: Gate, name: str, told: NodeReport) -> None:
        """Take in what the node's agent tells: whether Ray runs there. It is told in turn whether it still belongs."""
        for each in joining.reported(_member(gate, name), told.trouble):
            gate.core.store.commit([each], actor=gate.caller.user, strict=False)

    @router.post("/{name}/certificate", operation_id="node.renew")
    def renew(gate: Gate, name: str, request: RenewalRequest) -> Renewal:
        """Sign the node's next certificate, for the name and the address that it joined with."""
        cluster, member = _cluster(gate), _member(gate, name)
        signed = cluster.sign(request.certificate_request, member.name, member.spec.address)
        after = member.replace(spec=member.spec.replace(certificate_expires_at=signed.expires_at))
        note = Note("renewed", f"Its certificate holds until {signed.expires_at:%F}.")
        changes.commit(gate, change.update(after, note))
        return Renewal(certificate=signed.certificate, authority=signed.authority)

    @router.post("/{name}/leave", operation_id="node.leave", status_code=204)
    def leave(gate: Gate, name: str, now: bool = False) -> None:
        """Take the node that asks out of the cluster; refused while work runs there, unless `now`."""
        _remove(gate, name, f"Node {name} left.", now=now)

    return router


def _removing() -> APIRouter:
    router = APIRouter(prefix="/api/v1/nodes", route_class=GuardedRoute, tags=["nodes"])

    @router.delete("/{name}", operation_id="node.remove", status_code=204)
    def remove(gate: Gate, name: str, now: bool = False) -> None:
        """Remove a node that joined, and withdraw its identity; refused while work runs there, unless `now`."""
        changes.find(gate, Node, name, in_project=False)
        _remove(gate, name, f"Removed by {gate.caller.user}.", now=now)

    return router


def _remove(gate: Access, name: str, sentence: str, *, now: bool) -> None:
    cluster, member, store = _cluster(gate), _member(gate, name), gate.core.store
    held = [task for task in gate.core.live(Task) if any(one.node == name for one in task.status.allocations)]
    if held and not now:
        some = ", ".join(task.name for task in held[:NAMED_MAX])
        raise Conflict(
            f"{len(held)} tasks run on node {name}: {some}{', ...' if len(held) > NAMED_MAX else ''}.",
            hint="Give it no new work (lepton node cordon) and wait, or lose what runs there: --now",
        )
    things: list[AnyObject | None] = [
        member,
        store.look_up(Node, PLATFORM_PROJECT, name),
        store.look_up(Token, PLATFORM_PROJECT, node_user(name)),
        store.look_up(User, PLATFORM_PROJECT, node_user(name)),
    ]
    gone = joining.removed([thing for thing in things if thing is not None], sentence)
    with cluster.roster.changing():
        changes.commit(gate, gone[0], *gone[1:])


def _cluster(gate: Access) -> Cluster:
    if gate.core.cluster is None:
        raise Conflict(
            "This instance is one machine, not a cluster.",
            hint="On its machine: lepton down, then lepton up --cluster --address IP",
        )
    return gate.core.cluster


def _member(gate: Access, name: str) -> Member:
    found: Any = gate.core.store.look_up(Member, PLATFORM_PROJECT, name)
    if not isinstance(found, Member):
        raise NotFound(f"Node {name[:80]!r} has not joined.", hint="See: lepton node list")
    return found
