"""The first objects of a new state folder, and what becomes of the administrator's token when its file is lost."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_ai.errors import StorageFailed, Unauthenticated
from lepton_ai.kernel.auth import Gatekeeper, digest
from lepton_ai.kernel.bootstrap import bootstrap
from lepton_ai.kernel.store import Store
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.types.identity import Project, Role, Token, User


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    return tmp_path / "admin.token"


def test_a_new_folder_gets_a_project_an_administrator_and_a_token_that_opens_everything(
    store: Store, clock: FakeClock, token_file: Path
) -> None:
    bootstrap(store, clock, token_file)
    caller = Gatekeeper(store, clock).caller(token_file.read_text().strip())
    assert (caller.user, caller.roles) == ("admin", {"*": Role.ADMIN})
    assert store.find(Project, "platform", "default").name == "default"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600


def test_the_token_itself_is_stored_nowhere_but_in_its_file(store: Store, clock: FakeClock, token_file: Path) -> None:
    bootstrap(store, clock, token_file)
    token = token_file.read_text().strip()
    stored = store.find(Token, "platform", "admin")
    assert stored.spec.sha256 == digest(token)
    assert token not in stored.model_dump_json()


def test_a_second_start_changes_nothing(store: Store, clock: FakeClock, token_file: Path) -> None:
    bootstrap(store, clock, token_file)
    before = store.revision(), token_file.read_text()
    bootstrap(store, clock, token_file)
    assert (store.revision(), token_file.read_text()) == before


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda file: file.write_text("lepton_other"), lambda file: file.write_bytes(b"\xff\xfe\xfd")],
    ids=["removed", "changed", "garbled"],
)
def test_a_token_whose_file_was_lost_or_changed_is_replaced_and_opens_nothing_any_more(
    store: Store, clock: FakeClock, token_file: Path, damage: Callable[[Path], object]
) -> None:
    bootstrap(store, clock, token_file)
    old = token_file.read_text().strip()
    damage(token_file)
    gatekeeper = Gatekeeper(store, clock)
    gatekeeper.caller(old)
    bootstrap(store, clock, token_file)
    assert gatekeeper.caller(token_file.read_text().strip()).user == "admin"
    with pytest.raises(Unauthenticated):
        gatekeeper.caller(old)


def test_a_core_that_died_after_writing_the_file_and_before_the_commit_is_made_up_for(
    store: Store, clock: FakeClock, token_file: Path
) -> None:
    token_file.write_text("lepton_written_but_never_committed")
    bootstrap(store, clock, token_file)
    assert Gatekeeper(store, clock).caller(token_file.read_text().strip()).user == "admin"


def test_what_an_administrator_changed_stays(store: Store, clock: FakeClock, token_file: Path) -> None:
    bootstrap(store, clock, token_file)
    before = store.find(User, "platform", "admin")
    token_file.unlink()
    bootstrap(store, clock, token_file)
    assert store.find(User, "platform", "admin") == before


def test_a_folder_that_takes_no_token_is_named(store: Store, clock: FakeClock) -> None:
    with pytest.raises(StorageFailed, match=r"token /proc/admin\.token cannot be kept"):
        bootstrap(store, clock, Path("/proc/admin.token"))
    assert store.look_up(Token, "platform", "admin") is None
