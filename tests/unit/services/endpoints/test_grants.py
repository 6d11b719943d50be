"""Which tokens open the endpoints of which projects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from lepton_ai.services.endpoints.grants import grants
from lepton_ai.types.base import Metadata
from lepton_ai.types.data_plane import NEVER_EXPIRES, TokenGrant
from lepton_ai.types.identity import Role, Token, TokenSpec, User, UserSpec
from tests.unit.kernel.samples import NOW, later

SHA = "0" * 64
MEMBER = {"m": Role.MEMBER}


def user(roles: Mapping[str, Role], created: float = 0) -> User:
    metadata = Metadata(id="user-1", name="ada", project="platform", created_at=later(created))
    return User(metadata=metadata, spec=UserSpec(roles=roles))


def token(**spec: object) -> Token:
    metadata = Metadata(id="token-1", name="t", project="platform", created_at=later(1))
    return Token(metadata=metadata, spec=TokenSpec.model_validate({"user": "ada", "sha256": SHA, **spec}))


def test_members_and_admins_may_call_and_viewers_may_not() -> None:
    roles = {"a": Role.ADMIN, "m": Role.MEMBER, "v": Role.VIEWER}
    assert list(grants([token()], [user(roles)])) == [TokenGrant(SHA, "a"), TokenGrant(SHA, "m")]


def test_a_grant_ends_with_its_token() -> None:
    (grant,) = grants([token(expires_at=NOW + timedelta(hours=1))], [user(MEMBER)])
    assert grant.expires_epoch == int(NOW.timestamp()) + 3600 < NEVER_EXPIRES


def test_a_token_without_its_user_opens_nothing() -> None:
    assert list(grants([token()], [])) == []
    gone = user(MEMBER)
    assert list(grants([token()], [gone.replace(metadata=gone.metadata.replace(deletion_requested_at=NOW))])) == []


def test_a_token_that_is_being_withdrawn_opens_nothing() -> None:
    withdrawn = token().replace(metadata=token().metadata.replace(deletion_requested_at=NOW))
    assert list(grants([withdrawn], [user(MEMBER)])) == []


def test_the_token_of_an_earlier_user_of_the_same_name_opens_nothing() -> None:
    assert list(grants([token()], [user(MEMBER, created=2)])) == []
