"""Who may shape which projects: whoever runs the platform all, an administrator of a project those below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lepton_ai.api.access import Access
from lepton_ai.errors import Forbidden, InvalidInput, NotFound
from lepton_ai.kernel.change import Change, Note, update
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.spending import upwards
from lepton_ai.types.identity import EVERY_PROJECT, Project, Role, User
from lepton_ai.types.operation import may
from lepton_ai.types.quantity import format_bytes


def check_rights(gate: Access, project: Project, before: Project | None) -> None:
    """Raise Forbidden unless the caller may make the project so, and InvalidInput if it would promise too much.

    One that the caller may neither see nor shape is not to be found out: NotFound.
    """
    roles = gate.caller.roles
    if roles.get(EVERY_PROJECT) is Role.ADMIN:
        return
    known = {one.name: one for one in gate.core.live(Project)}
    if before is not None and not _is_above(roles, before.spec.parent, known):
        if not may(roles, "event.list", before.name):
            raise NotFound(f"There is no project {before.name[:80]!r}.", hint="See: lepton project list")
        raise Forbidden(
            f"{gate.caller.user!r} may not change project {before.name!r}: "
            "it takes the role 'admin' in a project above it.",
            hint="Ask an administrator of the platform.",
        )
    if not _is_above(roles, project.spec.parent, known):
        own = ", ".join(sorted(name for name, role in roles.items() if role is Role.ADMIN))
        raise Forbidden(
            f"{gate.caller.user!r} may not put project {project.name!r} "
            f"{f'below {project.spec.parent!r}' if project.spec.parent else 'at the top'}.",
            hint=f"Name a project that you administer: --parent with one of {own}, or one below it.",
        )
    _check_promises(project, known[project.spec.parent])


def role_of_maker(gate: Access, project: Project) -> Sequence[Change]:
    """Return the change that lets whoever makes a project below their own administer it, too."""
    roles = gate.caller.roles
    if roles.get(EVERY_PROJECT) is Role.ADMIN:
        return ()
    user = gate.core.store.look_up(User, PLATFORM_PROJECT, gate.caller.user)
    if user is None:
        return ()
    with_role = user.spec.replace(roles={**user.spec.roles, project.name: Role.ADMIN})
    return [update(user.replace(spec=with_role), Note("changed", f"Made project {project.name} and administers it."))]


def _is_above(roles: Mapping[str, Role], parent: str, known: Mapping[str, Project]) -> bool:
    return any(roles.get(name) is Role.ADMIN for name in upwards(parent, known))


def _check_promises(project: Project, parent: Project) -> None:
    """Refuse a promise of what the parent itself is promised nothing of; that of too much is refused for everybody."""
    own = parent.spec.quota.named()
    for name, amount in project.spec.quota.named().items():
        if amount and name not in own:
            said = format_bytes(round(amount)) if name == "memory" else f"{amount:g}"
            promised = ", ".join(sorted(own)) or "nothing"
            raise InvalidInput(
                f"Project {project.name!r} would be promised {said} of {name!r}, of which {parent.name!r} is promised "
                f"none: it has a quota of {promised}.",
                hint=f"Stay within that, or ask an administrator of the platform for a quota of {parent.name!r}.",
            )
