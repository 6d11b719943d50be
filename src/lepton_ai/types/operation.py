"""The one table of who may do what: each API route and each CLI verb names an operation, each operation a role."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from lepton_ai.types.identity import EVERY_PROJECT, Role


class Scope(StrEnum):
    """Where the role must be held."""

    PROJECT = "project"  # in the project that the request names
    PLATFORM = "platform"  # over the whole platform ("*")
    ANYWHERE = "anywhere"  # in any project: what is shown concerns everybody who works here
    NODE = "node"  # nowhere: the machine itself does it, with the token that it joins with or was given


class Permission(NamedTuple):
    """The least role that may do it, and where."""

    role: Role
    scope: Scope
    changes: bool  # audited when allowed; refusals always are


def _see(scope: Scope) -> Permission:
    return Permission(Role.VIEWER, scope, changes=False)


def _change(role: Role, scope: Scope) -> Permission:
    return Permission(role, scope, changes=True)


_SEE_IN_PROJECT = _see(Scope.PROJECT)
_WORK_IN_PROJECT = _change(Role.MEMBER, Scope.PROJECT)
_RUN_PLATFORM = _change(Role.ADMIN, Scope.PLATFORM)
_SEE_PLATFORM = Permission(Role.ADMIN, Scope.PLATFORM, changes=False)
_SEE_ANYWHERE = _see(Scope.ANYWHERE)
_BY_ITSELF = _change(Role.ADMIN, Scope.NODE)


def _kind(kind: str, see: Permission, change: Permission, verbs: str) -> dict[str, Permission]:
    """Return the verbs that every kind has for looking, and the changing ones in `verbs`."""
    table = {f"{kind}.{verb}": see for verb in ("get", "list", "watch", "events")}
    return table | {f"{kind}.{verb}": change for verb in verbs.split()}


OPERATIONS: Mapping[str, Permission] = {
    **_kind("job", _SEE_IN_PROJECT, _WORK_IN_PROJECT, "create update delete stop"),
    **_kind("endpoint", _SEE_IN_PROJECT, _WORK_IN_PROJECT, "create update delete"),
    **_kind("bucket", _SEE_IN_PROJECT, _WORK_IN_PROJECT, "create update delete"),
    "bucket.read": _change(Role.VIEWER, Scope.PROJECT),  # changes nothing, but is audited: it hands out access
    "bucket.unwrap": _change(Role.VIEWER, Scope.PROJECT),
    "bucket.write": _WORK_IN_PROJECT,
    "key.rotate": _change(Role.ADMIN, Scope.PROJECT),
    **_kind("secret", _SEE_IN_PROJECT, _WORK_IN_PROJECT, "create delete"),
    **_kind("node", _SEE_ANYWHERE, _RUN_PLATFORM, "update drain invite remove"),
    **{f"node.{verb}": _BY_ITSELF for verb in ("join", "renew", "leave")},
    "node.report": _BY_ITSELF._replace(changes=False),
    **_kind("nodegroup", _SEE_PLATFORM, _RUN_PLATFORM, "create update delete"),
    **_kind("user", _SEE_PLATFORM, _RUN_PLATFORM, "create update delete"),
    **_kind("token", _SEE_PLATFORM, _RUN_PLATFORM, "create delete"),
    # Everybody may ask, and is shown the projects in which they hold a role. What happened there: event.list.
    **{f"project.{verb}": _SEE_ANYWHERE for verb in ("get", "list", "watch", "usage")},
    # Who administers a project may shape those below it; which those are, `api.project_rights` finds out.
    **{f"project.{verb}": _change(Role.ADMIN, Scope.ANYWHERE) for verb in ("create", "update", "delete")},
    **{f"{kind}.{verb}": _SEE_IN_PROJECT for kind in ("job", "endpoint") for verb in ("logs", "explain")},
    **{f"task.{verb}": _SEE_IN_PROJECT for verb in ("get", "list", "watch", "events", "explain")},
    "job.result": _SEE_IN_PROJECT,
    "blob.has": _WORK_IN_PROJECT._replace(changes=False),
    "blob.put": _WORK_IN_PROJECT,
    "event.list": _SEE_IN_PROJECT,
    "queue.list": _SEE_IN_PROJECT,
    "scheduling.resource": _SEE_IN_PROJECT,
    "scheduling.allocation": _SEE_IN_PROJECT,
    "scheduling.profile": _WORK_IN_PROJECT,
    "resource.list": _SEE_ANYWHERE,
    "status.get": _SEE_ANYWHERE,
    "whoami.get": _SEE_ANYWHERE,
    "audit.list": _SEE_PLATFORM,
    "platform.shutdown": _RUN_PLATFORM,
}

_RANK = {Role.VIEWER: 0, Role.MEMBER: 1, Role.ADMIN: 2}


def may(roles: Mapping[str, Role], operation: str, project: str = "") -> bool:
    """Tell whether somebody who holds `roles` may do `operation` in `project`; unknown operations nobody may."""
    permission = OPERATIONS.get(operation)
    if permission is None or permission.scope is Scope.NODE:
        return False
    everywhere = roles.get(EVERY_PROJECT)
    held = [everywhere] if everywhere else []
    if permission.scope is Scope.ANYWHERE:
        held += roles.values()
    elif permission.scope is Scope.PROJECT and project in roles:
        held.append(roles[project])
    return any(_RANK[role] >= _RANK[permission.role] for role in held)
