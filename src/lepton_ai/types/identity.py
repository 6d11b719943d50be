"""Who may do what: projects, users with roles in them, and the tokens that speak for users."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import AwareDatetime

from lepton_ai.types.base import Model, Name, Object, ObjectStatus

EVERY_PROJECT = "*"


class Role(StrEnum):
    """What a user may do in a project. Each includes the ones after it."""

    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class ProjectSpec(Model):
    description: str = ""


class ProjectStatus(ObjectStatus):
    pass


class Project(Object[ProjectSpec, ProjectStatus]):
    """Work and data of one team. The API shows nothing of one project in another (what programs may do: ADR 0011)."""

    KIND: ClassVar[str] = "project"
    PLURAL: ClassVar[str] = "projects"

    kind: Literal["project"] = "project"
    spec: ProjectSpec = ProjectSpec()
    status: ProjectStatus = ProjectStatus()


class UserSpec(Model):
    """`roles` maps a project's name to the role held there; "*" stands for the whole platform."""

    roles: Mapping[str, Role] = {}


class UserStatus(ObjectStatus):
    pass


class User(Object[UserSpec, UserStatus]):
    KIND: ClassVar[str] = "user"
    PLURAL: ClassVar[str] = "users"

    kind: Literal["user"] = "user"
    spec: UserSpec = UserSpec()
    status: UserStatus = UserStatus()


class TokenSpec(Model):
    """A token is shown once, when it is made; only its SHA-256 is kept."""

    user: Name
    expires_at: AwareDatetime | None = None
    sha256: str = ""


class TokenStatus(ObjectStatus):
    pass


class Token(Object[TokenSpec, TokenStatus]):
    KIND: ClassVar[str] = "token"
    PLURAL: ClassVar[str] = "tokens"

    kind: Literal["token"] = "token"
    status: TokenStatus = TokenStatus()


class SecretSpec(Model):
    """`sealed` is ciphertext (AES-256-GCM, base64); the plain value goes into replicas and nowhere else."""

    sealed: str = ""


class SecretStatus(ObjectStatus):
    pass


class Secret(Object[SecretSpec, SecretStatus]):
    KIND: ClassVar[str] = "secret"
    PLURAL: ClassVar[str] = "secrets"

    kind: Literal["secret"] = "secret"
    spec: SecretSpec = SecretSpec()
    status: SecretStatus = SecretStatus()
