"""Tokens: how they look, whom they speak for, and when they no longer do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

import pytest

from lepton_ai.errors import Unauthenticated
from lepton_ai.kernel.auth import Gatekeeper, digest, is_well_formed, new_token
from lepton_ai.kernel.change import Seen, create, delete, update
from lepton_ai.kernel.store import Store
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import KERNEL_KINDS, empty_engine
from lepton_ai.types.base import Metadata
from lepton_ai.types.identity import Role, Token, TokenSpec, User, UserSpec

PLAIN = new_token()


def user(number: int = 1, role: Role = Role.MEMBER) -> User:
    metadata = Metadata(id=f"user-{number}", name="ada", project="platform")
    return User(metadata=metadata, spec=UserSpec(roles={"vision": role}))


def token(plain: str = PLAIN, number: int = 1, **spec: object) -> Token:
    metadata = Metadata(id=f"token-{number}", name=f"t{number}", project="platform")
    return Token(metadata=metadata, spec=TokenSpec.model_validate({"user": "ada", "sha256": digest(plain), **spec}))


@pytest.fixture
def gatekeeper(store: Store, clock: FakeClock) -> Gatekeeper:
    store.commit([create(user()), create(token())], actor="admin")
    return Gatekeeper(store, clock)


def test_tokens_are_long_random_and_begin_so_that_a_scanner_finds_them() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(one.startswith("lepton_") and len(one) == 43 and is_well_formed(one) for one in tokens)


@pytest.mark.parametrize(
    "wrong",
    ["", "lepton_", PLAIN[:-1], PLAIN + "x", PLAIN[7:], f"{PLAIN[:-1]}{'a' if PLAIN[-1] != 'a' else 'b'}", "é" * 43],
    ids=[
        "empty",
        "prefix",
        "short",
        "long",
        "without-prefix",
        "wrong-checksum",
        "not-ascii",
    ],  # alike in all test processes
)
def test_what_is_no_token_is_told_without_asking_the_store(gatekeeper: Gatekeeper, wrong: str) -> None:
    assert not is_well_formed(wrong)
    with pytest.raises(Unauthenticated) as caught:
        gatekeeper.caller(wrong)
    assert caught.value.hint


def test_a_token_speaks_for_its_user_with_the_users_roles(gatekeeper: Gatekeeper) -> None:
    caller = gatekeeper.caller(PLAIN)
    assert (caller.user, caller.roles) == ("ada", {"vision": Role.MEMBER})


def test_an_unknown_token_is_refused_in_the_same_words_as_a_withdrawn_one(gatekeeper: Gatekeeper, store: Store) -> None:
    with pytest.raises(Unauthenticated) as unknown:
        gatekeeper.caller(new_token())
    store.commit([delete(store.get(Token, "token-1"))], actor="admin")
    with pytest.raises(Unauthenticated) as withdrawn:
        gatekeeper.caller(PLAIN)
    assert str(unknown.value) == str(withdrawn.value)


def test_a_token_made_a_moment_ago_works_at_once(gatekeeper: Gatekeeper, store: Store) -> None:
    gatekeeper.caller(PLAIN)
    fresh = new_token()
    store.commit([create(token(fresh, 2))], actor="admin")
    assert gatekeeper.caller(fresh).user == "ada"


def test_a_role_that_was_changed_counts_at_once(gatekeeper: Gatekeeper, store: Store) -> None:
    gatekeeper.caller(PLAIN)
    before = store.get(User, "user-1")
    store.commit([update(before.replace(spec=UserSpec(roles={"vision": Role.VIEWER})))], actor="admin")
    assert gatekeeper.caller(PLAIN).roles == {"vision": Role.VIEWER}


def test_a_token_expires(store: Store, clock: FakeClock) -> None:
    store.commit([create(user()), create(token(expires_at=clock.now() + timedelta(hours=1)))], actor="admin")
    gatekeeper = Gatekeeper(store, clock)
    clock.advance(timedelta(minutes=59))
    assert gatekeeper.caller(PLAIN).user == "ada"
    clock.advance(timedelta(minutes=1))
    with pytest.raises(Unauthenticated):
        gatekeeper.caller(PLAIN)


def test_the_token_of_a_user_who_is_gone_opens_nothing(gatekeeper: Gatekeeper, store: Store) -> None:
    store.commit([delete(store.get(User, "user-1"))], actor="admin")
    with pytest.raises(Unauthenticated):
        gatekeeper.caller(PLAIN)


def test_the_token_of_a_user_who_is_gone_does_not_speak_for_another_of_the_same_name(
    gatekeeper: Gatekeeper, store: Store, clock: FakeClock
) -> None:
    store.commit([delete(store.get(User, "user-1"))], actor="admin")
    clock.advance(timedelta(seconds=1))
    store.commit([create(user(2, Role.ADMIN))], actor="admin")
    with pytest.raises(Unauthenticated):
        gatekeeper.caller(PLAIN)


def test_a_start_follows_the_feed_from_now_and_not_through_all_that_ever_was(
    clock: FakeClock,
) -> None:
    asked: list[int] = []

    class Watched(Store):
        def changes(self, since: int, *, kinds: Collection[str] = (), project: str | None = None) -> Sequence[Seen]:
            asked.append(since)
            return super().changes(since, kinds=kinds, project=project)

    again = Watched(empty_engine(), clock, KERNEL_KINDS)
    again.commit([create(user()), create(token())], actor="admin")
    assert Gatekeeper(again, clock).caller(PLAIN).user == "ada"
    assert asked == [1]
