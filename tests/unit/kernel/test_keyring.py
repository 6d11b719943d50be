"""Data keys unwrap for their own project and bucket, also after a rotation, until the project's keys are shredded."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from lepton_ai.errors import IntegrityFailed, StorageFailed
from lepton_ai.kernel.keyring import Keyring
from lepton_ai.kernel.secret_box import SecretBox

PROJECT, BUCKET = "project-1", "bucket-1"


def open_keyring(folder: Path) -> Keyring:
    return Keyring(folder / "keyring", SecretBox(folder / "secret.key"))


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return open_keyring(tmp_path)


def test_a_data_key_is_unwrapped_by_a_later_core(keyring: Keyring, tmp_path: Path) -> None:
    plain, wrapped = keyring.make_data_key(PROJECT, BUCKET)
    assert open_keyring(tmp_path).unwrap(PROJECT, BUCKET, wrapped) == plain
    assert plain not in wrapped


def test_no_two_data_keys_are_alike(keyring: Keyring) -> None:
    assert len({keyring.make_data_key(PROJECT, BUCKET) for _ in range(100)}) == 100


@pytest.mark.parametrize(("project", "bucket"), [("project-2", BUCKET), (PROJECT, "bucket-2")])
def test_a_data_key_of_another_project_or_bucket_is_refused(keyring: Keyring, project: str, bucket: str) -> None:
    keyring.make_data_key("project-2", BUCKET)
    _, wrapped = keyring.make_data_key(PROJECT, BUCKET)
    with pytest.raises(IntegrityFailed, match="not one of its bucket's"):
        keyring.unwrap(project, bucket, wrapped)


def test_every_byte_of_a_wrapped_key_that_is_flipped_is_found_out(keyring: Keyring) -> None:
    _, wrapped = keyring.make_data_key(PROJECT, BUCKET)
    for place in range(len(wrapped)):
        spoilt = bytearray(wrapped)
        spoilt[place] ^= 1
        with pytest.raises(IntegrityFailed):
            keyring.unwrap(PROJECT, BUCKET, bytes(spoilt))


@pytest.mark.parametrize("wrapped", [b"", bytes(64), bytes(63), b"\0\0\0\1" + bytes(61)])
def test_what_was_never_wrapped_is_refused(keyring: Keyring, wrapped: bytes) -> None:
    keyring.make_data_key(PROJECT, BUCKET)
    with pytest.raises(IntegrityFailed):
        keyring.unwrap(PROJECT, BUCKET, wrapped)


def test_after_a_rotation_old_keys_unwrap_and_new_ones_carry_the_new_version(keyring: Keyring, tmp_path: Path) -> None:
    plain, wrapped = keyring.make_data_key(PROJECT, BUCKET)
    assert keyring.rotate(PROJECT) == 2
    _, newer = keyring.make_data_key(PROJECT, BUCKET)
    assert (wrapped[:4], newer[:4]) == (b"\0\0\0\1", b"\0\0\0\2")
    assert open_keyring(tmp_path).unwrap(PROJECT, BUCKET, wrapped) == plain


def test_a_version_cannot_be_passed_off_as_another(keyring: Keyring) -> None:
    _, wrapped = keyring.make_data_key(PROJECT, BUCKET)
    keyring.rotate(PROJECT)
    with pytest.raises(IntegrityFailed):
        keyring.unwrap(PROJECT, BUCKET, b"\0\0\0\2" + wrapped[4:])


def test_rotations_and_wraps_at_the_same_time_lose_nothing(keyring: Keyring, tmp_path: Path) -> None:
    made: list[tuple[bytes, bytes]] = []
    threads = [threading.Thread(target=lambda: made.append(keyring.make_data_key(PROJECT, BUCKET))) for _ in range(8)]
    threads += [threading.Thread(target=keyring.rotate, args=(PROJECT,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    later = open_keyring(tmp_path)
    assert [later.unwrap(PROJECT, BUCKET, wrapped) for _, wrapped in made] == [plain for plain, _ in made]


def test_shredded_keys_open_nothing_ever_again(keyring: Keyring, tmp_path: Path) -> None:
    _, wrapped = keyring.make_data_key(PROJECT, BUCKET)
    keyring.condemn(PROJECT)
    keyring.shred(PROJECT)
    keyring.make_data_key(PROJECT, BUCKET)
    with pytest.raises(IntegrityFailed):
        keyring.unwrap(PROJECT, BUCKET, wrapped)
    with pytest.raises(IntegrityFailed):
        open_keyring(tmp_path).unwrap(PROJECT, BUCKET, wrapped)


def test_a_core_that_died_between_deletion_and_shredding_is_made_up_for(keyring: Keyring, tmp_path: Path) -> None:
    _, gone = keyring.make_data_key(PROJECT, BUCKET)
    kept, wrapped = keyring.make_data_key("project-2", BUCKET)
    keyring.condemn(PROJECT)
    keyring.condemn("project-2")
    later = open_keyring(tmp_path)
    later.settle(lambda project_id: project_id == "project-2")
    assert later.unwrap("project-2", BUCKET, wrapped) == kept
    with pytest.raises(IntegrityFailed):
        later.unwrap(PROJECT, BUCKET, gone)
    assert not list((tmp_path / "keyring").glob("*.condemned"))


def test_keys_of_a_project_that_nobody_condemned_are_never_shredded(keyring: Keyring) -> None:
    plain, wrapped = keyring.make_data_key(PROJECT, BUCKET)
    keyring.settle(lambda _project_id: False)
    assert keyring.unwrap(PROJECT, BUCKET, wrapped) == plain


def test_the_file_holds_no_key_in_plain_and_only_its_owner_may_read_it(keyring: Keyring, tmp_path: Path) -> None:
    keyring.make_data_key(PROJECT, BUCKET)
    path = tmp_path / "keyring" / f"{PROJECT}.keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other = Keyring(tmp_path / "keyring", SecretBox(tmp_path / "other.key"))
    with pytest.raises(StorageFailed, match="cannot be opened"):
        other.make_data_key(PROJECT, BUCKET)


def test_a_damaged_file_is_refused_and_never_replaced(keyring: Keyring, tmp_path: Path) -> None:
    keyring.make_data_key(PROJECT, BUCKET)
    path = tmp_path / "keyring" / f"{PROJECT}.keys"
    path.write_text("[")
    with pytest.raises(StorageFailed, match="is damaged"):
        open_keyring(tmp_path).rotate(PROJECT)
    assert path.read_text() == "["
