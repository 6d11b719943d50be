"""Secrets of a project, and the users, tokens, projects and nodes of the platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import JsonValue

from lepton_ai.errors import InvalidInput, Unavailable
from lepton_ai.sdk.collection import PAGE, Change, Collection, new_key, read, read_page
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.listing import Columns, Listing
from lepton_ai.types.base import AnyObject, Metadata, to_rfc3339
from lepton_ai.types.event import Event
from lepton_ai.types.identity import Project, Secret, Token, User
from lepton_ai.types.node import Node
from lepton_ai.types.share import ProjectUsage

K = TypeVar("K", bound=AnyObject)


class Kind(Generic[K]):
    """What can be done with the objects of any kind: look up, list, watch, delete."""

    def __init__(self, collection: Collection[K], columns: Columns[K]) -> None:
        self.collection = collection
        self._columns = columns

    def get(self, name: str) -> K:
        """Return one object by name or id; raises NotFound."""
        return self.collection.get(name)

    def list(self, *, limit: int = PAGE, before: str = "") -> Listing[K]:
        """Return a page, newest first; `before` is the `next` of the page before."""
        items, following = self.collection.page(limit=limit, before=before)
        return Listing(tuple(items), self._columns, following)

    def each(self) -> Iterator[K]:
        """Yield every object, newest first."""
        return self.collection.each()

    def delete(self, name: str) -> K:
        """Remove one object, and return it as it was."""
        return self.collection.delete(name)

    def watch(self, since: str = "") -> Iterator[Change[K]]:
        """Yield changes, for ever; without `since`, first every object."""
        return self.collection.watch(since)

    def events(self, name: str) -> Listing[Event]:
        """Return what happened to one object, oldest first."""
        return self.collection.events(name)


class Secrets(Kind[Secret]):
    """`lepton.secrets`. Values go in and never come out, but into the environment of the replicas that name them."""

    def __init__(self, connection: Connection, project: str) -> None:
        columns: Columns[Secret] = Columns(("secret", "set"), lambda one: (one.name, _at(one.metadata)))
        super().__init__(Collection(connection, Secret, project), columns)

    def create(self, name: str, value: str) -> Secret:
        """Store a secret, or give the one of that name a new value."""
        if not value:
            raise InvalidInput(f"The secret {name!r} would be empty.", hint="Give a value, or delete the secret.")
        return self.collection.create({"metadata": {"name": name}, "spec": {"value": value}})

    set = create  # Both words are right: a new secret is made, one that is there is given a new value.


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token, shown this once: the platform keeps only its hash."""

    token: str = field(repr=False)
    object: Token


class Tokens(Kind[Token]):
    """`lepton.tokens`."""

    def __init__(self, connection: Connection) -> None:
        columns: Columns[Token] = Columns(
            ("token", "user", "made", "expires"),
            lambda one: (
                one.name,
                one.spec.user,
                _at(one.metadata),
                f"{one.spec.expires_at:%F %T}" if one.spec.expires_at else "never",
            ),
        )
        super().__init__(Collection(connection, Token), columns)

    def create(self, user: str, *, name: str = "", expires_at: datetime | None = None) -> NewToken:
        """Make a token that speaks for `user`, until `expires_at` (an aware datetime) or until it is deleted."""
        if expires_at is not None and expires_at.tzinfo is None:
            raise InvalidInput("`expires_at` has no time zone.", hint="Write datetime(..., tzinfo=timezone.utc).")
        spec: dict[str, JsonValue] = {"user": user}
        if expires_at is not None:
            spec["expires_at"] = expires_at.isoformat()
        metadata: JsonValue = {"name": name} if name else {}
        call = Call("POST", self.collection.path, body={"metadata": metadata, "spec": spec}, key=new_key())
        answer: Any = self.collection.connection.fetch(call)
        if not isinstance(answer, dict) or not isinstance(answer.get("token"), str):
            raise Unavailable("The instance did not answer with a token.")
        return NewToken(answer["token"], read(Token, answer.get("object")))


class Users(Kind[User]):
    """`lepton.users`."""

    def __init__(self, connection: Connection) -> None:
        columns: Columns[User] = Columns(
            ("user", "roles"),
            lambda one: (one.name, ", ".join(f"{project}: {role}" for project, role in one.spec.roles.items())),
        )
        super().__init__(Collection(connection, User), columns)

    def create(self, name: str, roles: Mapping[str, str]) -> User:
        """Make a user; `roles` maps a project to admin, member or viewer, with "*" for the whole platform."""
        return self.collection.create({"metadata": {"name": name}, "spec": {"roles": dict(roles)}})

    def update(self, name: str, roles: Mapping[str, str | None]) -> User:
        """Merge `roles` into a user's; None takes a role away."""
        return self.collection.update(name, {"spec": {"roles": dict(roles)}})


class Projects(Kind[Project]):
    """`lepton.projects`."""

    def __init__(self, connection: Connection) -> None:
        columns: Columns[Project] = Columns(("project", "description"), lambda one: (one.name, one.spec.description))
        super().__init__(Collection(connection, Project), columns)

    def create(self, name: str, description: str = "", **shares: JsonValue) -> Project:
        """Make a project; `shares` are parent, quota, limit, weight, borrow and budget, as `update` takes them."""
        spec: dict[str, JsonValue] = {"description": description, **shares}
        return self.collection.create({"metadata": {"name": name}, "spec": spec})

    def update(self, name: str, changes: Mapping[str, JsonValue]) -> Project:
        """Merge `changes` (RFC 7396) into a project's spec: quota, limit, weight, parent, borrow, budget."""
        return self.collection.update(name, {"spec": dict(changes)})

    def usage(self) -> Listing[ProjectUsage]:
        """Return what each project holds, may hold and has used up, by name."""
        items, following = read_page(self.collection.connection, Call("GET", "/api/v1/usage"))
        return Listing(tuple(read(ProjectUsage, item) for item in items), _USAGE, following)


class Nodes(Kind[Node]):
    """`lepton.nodes`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(Collection(connection, Node), Columns(("node", "state", "resource classes", "limits"), _node))

    def cordon(self, name: str) -> Node:
        """Let what the node runs go on, and give it nothing new."""
        return self.collection.update(name, {"spec": {"cordoned": True}})

    def drain(self, name: str, seconds: float = 3600.0) -> Node:
        """Have what the node runs leave it, and give it nothing new; what is left after `seconds` is stopped.

        Jobs are stopped with notice and start elsewhere; replicas of endpoints are replaced elsewhere first. Does not
        wait: `status.reason.code` is "drained" once nothing runs there. `uncordon` takes it back.
        """
        path = f"{self.collection.path}/{name}/drain"
        call = Call("POST", path, body={"seconds": seconds})
        return read(Node, self.collection.connection.fetch(call))

    def set_price(self, name: str, price_per_hour: float) -> Node:
        """Say what an hour of all of the node costs; what tasks are placed there from now on counts by it."""
        return self.collection.update(name, {"metadata": {"labels": {"price": f"{price_per_hour:g}"}}})

    def set_labels(self, name: str, labels: Mapping[str, str | None]) -> Node:
        """Set labels of the node, by which work may ask for it (`where`); None drops one."""
        return self.collection.update(name, {"metadata": {"labels": dict(labels)}})

    def invite(self, seconds: float = 3600.0) -> tuple[str, datetime]:
        """Make a join token for one machine, which holds for `seconds`; return it, this once, and when it ends."""
        call = Call("POST", "/api/v1/cluster/tokens", body={"seconds": seconds})
        answer: Any = self.collection.connection.fetch(call)
        try:
            return str(answer["token"]), datetime.fromisoformat(answer["expires_at"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("The instance did not answer with a join token.") from error

    def remove(self, name: str, *, now: bool = False) -> None:
        """Remove a node that has joined; raises Conflict while tasks run there, unless `now`, which loses them."""
        params = {"now": "true"} if now else {}
        self.collection.connection.send(Call("DELETE", f"{self.collection.path}/{name}", params=params))

    def uncordon(self, name: str) -> Node:
        """Give the node work again."""
        return self.collection.update(name, {"spec": {"cordoned": False, "drain_by": None}})


_USAGE: Columns[ProjectUsage] = Columns(
    ("project", "CPUs", "devices", "waiting", "device-hours", "money"),
    lambda one: (
        one.project,
        f"{one.held.cpu:g}",
        f"{one.held.accelerators.get('*', 0.0):g}",
        str(one.waiting),
        f"{one.spent.device_seconds / 3600:.2f}",
        f"{one.spent.money:.2f}",
    ),
)


def _node(node: Node) -> tuple[str, ...]:
    hardware = node.status.hardware
    classes = ", ".join(hardware.resource_classes()) if hardware else ""
    state = f"{node.status.state.value}{', cordoned' if node.spec.cordoned else ''}"
    return (node.name, state, classes, node.status.limits)


def _at(metadata: Metadata) -> str:
    moment = metadata.updated_at or metadata.created_at
    return to_rfc3339(moment) if moment else ""
