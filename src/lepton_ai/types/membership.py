"""How a machine becomes a node of a cluster: what it says of itself, what it is given, what it tells from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from lepton_ai.types.base import LABELS_MAX, Label, Model, Name, Object, ObjectStatus
from lepton_ai.types.node import Hardware

JOINING_USER = "joining"  # whom join tokens speak for: nobody who may do anything but join
NODE_USER = "node-"  # and the name: whom a node's own token speaks for
NODE_NAME_MAX = 58  # "node-" and the name are a user's name, which has at most 63 characters

NodeName = Annotated[Name, StringConstraints(max_length=NODE_NAME_MAX)]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
NodeLabels = Annotated[Mapping[LabelKey, Label], Field(max_length=LABELS_MAX)]
Pem = Annotated[str, StringConstraints(max_length=16384)]  # a request for a certificate with an EC key has 500 bytes
Short = Annotated[str, StringConstraints(max_length=128)]


class Versions(Model):
    """What must be the same everywhere: `python` is major and minor, such as "3.11"; Ray pickles between all nodes."""

    python: Short
    ray: Short
    lepton: Short


class CallBack(Model):
    """Where the machine listens while it joins, and what it says to whoever connects: proof that the address is its."""

    port: Annotated[int, Field(ge=1, le=65535)]
    nonce: Annotated[str, StringConstraints(min_length=32, max_length=64)]


class JoinRequest(Model):
    """What a machine says of itself. `address` is the IP address that the other nodes shall reach it by."""

    name: NodeName
    address: Short
    labels: NodeLabels = {}
    certificate_request: Pem
    call_back: CallBack
    hardware: Hardware
    limits: Short = ""
    versions: Versions
    sent_at: AwareDatetime


class JoinAnswer(Model):
    """What the node needs to be one. `head` is `IP:PORT` of the cluster's head; tokens are shown here alone."""

    name: Name
    certificate: str
    authority: str
    head: str
    cluster_token: str
    node_token: str


class NodeReport(Model):
    """What a node's agent tells every few seconds: why its Ray does not run, or nothing while it does."""

    trouble: Annotated[str, StringConstraints(max_length=2000)] = ""


class RenewalRequest(Model):
    """A request for the next certificate of a node, for the address that it joined with."""

    certificate_request: Pem


class Renewal(Model):
    """The next certificate, and the authority that signed it."""

    certificate: str
    authority: str


class MemberSpec(Model):
    """What a node said when it joined; `certificate_expires_at` is that of the last one that it was given."""

    address: str
    versions: Versions
    certificate_expires_at: AwareDatetime | None = None


class MemberStatus(ObjectStatus):
    """`reason` is why Ray does not run there, as its agent tells; empty while it runs."""


class Member(Object[MemberSpec, MemberStatus]):
    """A machine that has joined. The node of the same name tells how it is."""

    KIND: ClassVar[str] = "member"
    PLURAL: ClassVar[str] = "members"

    kind: Literal["member"] = "member"
    status: MemberStatus = MemberStatus()


def node_user(name: str) -> str:
    """Return the user whom the token of that node speaks for."""
    return f"{NODE_USER}{name}"
