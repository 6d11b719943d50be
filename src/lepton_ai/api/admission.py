"""What users, projects and tokens must be before they are stored, and what goes when they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lepton_ai.api.access import UNKNOWN, Access
from lepton_ai.api.project_rights import check_rights, role_of_maker
from lepton_ai.api.project_shares import check_nobody_below, check_shares, hold_those_above
from lepton_ai.errors import Conflict, InvalidInput
from lepton_ai.kernel.change import Change, Note, delete, update
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.prices import PRICE, check_price
from lepton_ai.types.base import AnyObject
from lepton_ai.types.identity import EVERY_PROJECT, Project, Role, Secret, Token, User
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task
from lepton_ai.types.where import check_label

NAMES_SHOWN = 20  # of the projects that are known, in a hint
# The actor of what the platform does by itself, and the one of refused strangers: no user may be taken for either.
_NO_USER = frozenset({PLATFORM_PROJECT, UNKNOWN})


def admit(gate: Access, thing: AnyObject, before: AnyObject | None) -> Sequence[Change]:
    """Return what must be committed together with `thing`; raises InvalidInput or Conflict for what cannot be."""
    if isinstance(thing, Project) and thing.name == PLATFORM_PROJECT:
        raise InvalidInput(f"{thing.name!r} stands for the platform itself.", hint="Choose another name.")
    if isinstance(thing, Project):
        check_rights(gate, thing, before if isinstance(before, Project) else None)
        others = gate.core.live(Project)  # read once: what is checked is what is held
        check_shares(thing, others)
        above = hold_those_above(thing, before if isinstance(before, Project) else None, others)
        return above if before is not None else [*above, *role_of_maker(gate, thing)]
    if isinstance(thing, Node):
        _check_labels(thing, before)
    if not isinstance(thing, User):
        return ()
    if thing.name in _NO_USER:
        raise InvalidInput(f"{thing.name!r} stands for nobody's own doing in the audit.", hint="Choose another name.")
    held = before.spec.roles if isinstance(before, User) else {}
    _check_projects(gate, {name: role for name, role in thing.spec.roles.items() if name not in held})
    return () if is_admin(thing) or not isinstance(before, User) else _keep_an_admin(gate, before)


def release(gate: Access, thing: AnyObject) -> Sequence[Change]:
    """Return what must go together with `thing`; raises Conflict while it must stay."""
    if isinstance(thing, User):
        # A later user of the same name must not find the tokens of this one still good.
        tokens = [token for token in gate.core.live(Token) if token.spec.user == thing.name]
        note = Note("deleted", f"Its user was deleted by {gate.caller.user}.")
        return [*_keep_an_admin(gate, thing), *(delete(token, note) for token in tokens)]
    if isinstance(thing, Project):
        check_rights(gate, thing, thing)
        check_nobody_below(thing, gate.core.live(Project))
        _check_empty(gate, thing)
        note = Note("changed", f"Project {thing.name} was deleted by {gate.caller.user}.")
        holders = [user for user in gate.core.live(User) if thing.name in user.spec.roles]
        return [update(_without(user, thing.name), note) for user in holders]
    return ()


def is_admin(user: User) -> bool:
    """Tell whether the user may do everything."""
    return user.spec.roles.get(EVERY_PROJECT) is Role.ADMIN


def _check_labels(node: Node, before: AnyObject | None) -> None:
    """Refuse labels that no work could ask for; those that were there before may stay."""
    known = before.metadata.labels if before is not None else {}
    for key, value in node.metadata.labels.items():
        try:
            if known.get(key) != value:
                check_label(key, value)
                if key == PRICE:
                    check_price(value)
        except ValueError as error:
            raise InvalidInput(
                f"Node {node.name!r}: {error}.", hint="As in: lepton node label NODE site=berlin"
            ) from None


def _keep_an_admin(gate: Access, user: User) -> Sequence[Change]:
    """Return a change that fails if the administrator who is left is demoted or deleted at the same moment."""
    if not is_admin(user):
        return ()
    other = next((one for one in gate.core.live(User) if is_admin(one) and one.id != user.id), None)
    if other is None:
        raise Conflict(
            f"{user.name!r} is the last administrator of the platform.",
            hint=f'Make another one first: lepton user create NAME --role "{EVERY_PROJECT}=admin"',
        )
    return [update(other)]


def _check_projects(gate: Access, roles: Mapping[str, Role]) -> None:
    for name in roles:
        if name != EVERY_PROJECT and not gate.core.gatekeeper.has_project(name):
            known = gate.core.gatekeeper.projects()
            more = ", ..." if len(known) > NAMES_SHOWN else ""
            raise InvalidInput(
                f"There is no project {name[:80]!r} to hold a role in.",
                hint=f"Known: {', '.join(known[:NAMES_SHOWN])}{more}; '{EVERY_PROJECT}' stands for all.",
            )


def _check_empty(gate: Access, project: Project) -> None:
    kinds: list[type[AnyObject]] = [Secret, Task]
    for service in gate.core.services.values():
        kinds.extend(service.kinds)
    for kind in kinds:
        found = gate.core.store.page(kind, project.name, limit=1)
        if found:
            raise Conflict(
                f"Project {project.name!r} still holds {kind.PLURAL}, such as {found[0].name!r}.",
                hint=f"Delete them first: lepton {kind.KIND} delete {found[0].name} --project {project.name}",
            )


def _without(user: User, project: str) -> User:
    roles = {name: role for name, role in user.spec.roles.items() if name != project}
    return user.replace(spec=user.spec.replace(roles=roles))
