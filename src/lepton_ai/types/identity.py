"""Who may do what: projects, users with roles in them, and the tokens that speak for users."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from lepton_ai.types.base import Model, Name, Object, ObjectStatus, check_name
from lepton_ai.types.share import Amounts, Budget, BudgetState

EVERY_PROJECT = "*"


def _check_parent(name: str) -> str:
    return check_name(name) if name else ""


ProjectName = Annotated[str, AfterValidator(_check_parent)]  # or empty: none


class Role(StrEnum):
    """What a user may do in a project. Each includes the ones after it."""

    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class ProjectSpec(Model):
    """What a team is for and what it shares with others.

    `quota` is promised: others may use it while it lies idle, and give it back when it is wanted (`borrow` tells
    whether this project does the same with theirs). `limit` is never exceeded. Both hold for the projects below
    (those that name this one as `parent`) taken together. `weight` shares out what nobody is promised.
    """

    description: str = ""
    parent: ProjectName = ""
    quota: Amounts = Amounts()
    limit: Amounts = Amounts()
    weight: Annotated[float, Field(ge=0.001, le=1000)] = 1.0
    borrow: bool = True
    budget: Budget = Budget()

    def has_shares(self) -> bool:
        """Tell whether anything in it matters to the order of the queue."""
        return self != ProjectSpec(description=self.description)


class ProjectStatus(ObjectStatus):
    """`state` tells how far the budget is used up; `bound` names what was reached, such as "its 100 device-hours"."""

    state: BudgetState = BudgetState.OPEN
    bound: str = ""


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
