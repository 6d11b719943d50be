"""Pure: whether a machine may join, and the changes that make it a node, renew it and remove it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lepton_ai.errors import Conflict, InvalidInput
from lepton_ai.kernel.change import Change, Note, create, delete, update
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.types.base import AnyObject, Metadata, Reason
from lepton_ai.types.identity import Token, TokenSpec, User
from lepton_ai.types.membership import JOINING_USER, JoinRequest, Member, MemberSpec, Versions, node_user
from lepton_ai.types.node import Node, NodeState, NodeStatus

# Certificates hold from five minutes before they are made: a node whose clock is further behind would refuse its own.
CLOCK_SKEW_MAX = timedelta(minutes=5)
INVITATION = timedelta(hours=1)
INVITATION_MAX = timedelta(days=7)


def check_request(request: JoinRequest, ours: Versions, now: datetime) -> None:
    """Raise InvalidInput or Conflict if a machine such as this cannot be a node here."""
    _check_address(request.address)
    skew = request.sent_at - now
    if abs(skew) > CLOCK_SKEW_MAX:
        way = "ahead of" if skew > timedelta() else "behind"
        raise InvalidInput(
            f"The clock of this machine is {abs(skew).total_seconds():,.0f} s {way} the core's; "
            f"at most {CLOCK_SKEW_MAX.total_seconds():.0f} s are allowed, or certificates would not hold.",
            hint="Set the clock (systemctl restart systemd-timesyncd, or chronyc makestep), then join again.",
        )
    theirs = request.versions
    named = (("Python", theirs.python, ours.python), ("Ray", theirs.ray, ours.ray))
    for what, their, our in (*named, ("Lepton AI", theirs.lepton, ours.lepton)):
        if their != our:
            raise Conflict(
                f"This machine has {what} {their}, the cluster has {our}; all nodes must have the same.",
                hint=_version_hint(what, our),
            )


def check_name(request: JoinRequest, node: Node | None, user: User | None, holder: Member | None) -> None:
    """Raise Conflict if the name or the address is taken. `holder` is the member that has the address."""
    if node is not None or user is not None:
        raise Conflict(
            f"There is a node {request.name!r} already.",
            hint=f"Join as another: --name NAME; or, if that machine is gone: lepton node remove {request.name}",
        )
    if holder is not None:
        raise Conflict(
            f"The address {request.address} is that of node {holder.name!r}.",
            hint=f"One machine is one node. If it left without a word: lepton node remove {holder.name}",
        )


def invited(
    name: str, sha256: str, expires_at: datetime, sentence: str, new_id: Callable[[str], str]
) -> Sequence[Change]:
    """Return the changes that make a join token, and then the user for whom it speaks, who may exist already."""

    def about(kind: str, called: str) -> Metadata:
        return Metadata(id=new_id(kind), name=called, project=PLATFORM_PROJECT)

    spec = TokenSpec(user=JOINING_USER, expires_at=expires_at, sha256=sha256)
    token = Token(metadata=about(Token.KIND, name), spec=spec)
    user = User(metadata=about(User.KIND, JOINING_USER))
    made = Note("created", "Made for machines that join; it has no role.")
    return [create(token, Note("created", sentence)), create(user, made)]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a machine is given when it joins, as far as it is stored."""

    token_sha256: str
    certificate_expires_at: datetime


def joined(request: JoinRequest, grant: Grant, new_id: Callable[[str], str]) -> Sequence[Change]:
    """Return the changes that make the machine a node with an identity of its own; the member comes first."""
    note = Note("joined", f"Joined from {request.address} with {', '.join(request.hardware.resource_classes())}.")

    def about(kind: str, name: str) -> Metadata:
        return Metadata(id=new_id(kind), name=name, project=PLATFORM_PROJECT)

    member = Member(
        metadata=about(Member.KIND, request.name),
        spec=MemberSpec(
            address=request.address,
            versions=request.versions,
            certificate_expires_at=grant.certificate_expires_at,
        ),
    )
    node = Node(
        metadata=about(Node.KIND, request.name).replace(labels=dict(request.labels)),
        status=NodeStatus(
            state=NodeState.JOINING,
            reason=Reason(code="joining", sentence="It has joined; Ray starts there."),
            address=request.address,
            hardware=request.hardware,
            limits=request.limits,
        ),
    )
    user = User(metadata=about(User.KIND, node_user(request.name)))
    token = Token(
        metadata=about(Token.KIND, node_user(request.name)),
        spec=TokenSpec(user=user.name, sha256=grant.token_sha256),
    )
    made = Note("created", f"Made for node {request.name}.")
    return [create(member), create(node, note), create(user, made), create(token, made)]


def reported(member: Member, trouble: str) -> Sequence[Change]:
    """Return the change for what a node tells of its Ray; nothing while nothing changes."""
    if trouble == member.status.reason.sentence:
        return []
    reason = Reason(code="ray", sentence=trouble) if trouble else Reason()
    note = Note("ray_down", f"Ray does not run on {member.name}: {trouble}") if trouble else Note("ray_up", "Ray runs.")
    return [update(member.with_status(reason=reason), note)]


def removed(things: Sequence[AnyObject], sentence: str) -> Sequence[Change]:
    """Return the changes that take the machine's identity away, so that nothing it says is believed any more."""
    return [delete(thing, Note("removed", sentence)) for thing in things]


def _check_address(address: str) -> None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        found = None
    if found is None or found.is_unspecified or found.is_loopback or found.is_link_local or found.is_multicast:
        raise InvalidInput(
            f"{address[:80]!r} is not an IP address that other machines can reach this one by.",
            hint="Name it: lepton join URL --address IP",
        )


def _version_hint(what: str, ours: str) -> str:
    if what == "Python":
        return f"Install Lepton AI there with Python {ours}."
    package = {"Ray": f"ray=={ours}", "Lepton AI": f"'lepton-ai[cluster]=={ours}'"}[what]
    return f"On that machine: pip install {package}"
