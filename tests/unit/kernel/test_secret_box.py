"""Sealed secrets open with their key and under their own name, and with nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lepton_ai.errors import StorageFailed
from lepton_ai.kernel.secret_box import SecretBox


@pytest.fixture
def box(tmp_path: Path) -> SecretBox:
    return SecretBox(tmp_path / "secret.key")


@pytest.mark.parametrize("plain", ["", "hf_abc", "多行\n秘密", "x" * 100_000])
def test_what_was_sealed_is_opened(box: SecretBox, plain: str) -> None:
    assert box.open(box.seal(plain, "default/hf"), "default/hf") == plain


def test_the_plain_text_is_not_in_what_is_stored_and_no_two_seals_are_alike(box: SecretBox) -> None:
    first, second = box.seal("tell-nobody", "default/hf"), box.seal("tell-nobody", "default/hf")
    assert "tell-nobody" not in first
    assert first != second


@pytest.mark.parametrize("bound_to", ["default/other", "vision/hf"])
def test_a_secret_that_was_moved_to_another_name_or_project_does_not_open(box: SecretBox, bound_to: str) -> None:
    with pytest.raises(StorageFailed, match="cannot be opened") as caught:
        box.open(box.seal("tell-nobody", "default/hf"), bound_to)
    assert "tell-nobody" not in str(caught.value)


@pytest.mark.parametrize("sealed", ["", "AAAA", "no base64!", "A" * 400])
def test_what_was_never_sealed_does_not_open(box: SecretBox, sealed: str) -> None:
    with pytest.raises(StorageFailed, match="cannot be opened"):
        box.open(sealed, "default/hf")


def test_the_key_outlives_the_core_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealed = SecretBox(path).seal("tell-nobody", "default/hf")
    assert SecretBox(path).open(sealed, "default/hf") == "tell-nobody"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]


def test_another_key_opens_nothing(box: SecretBox, tmp_path: Path) -> None:
    other = SecretBox(tmp_path / "other.key")
    with pytest.raises(StorageFailed):
        other.open(box.seal("tell-nobody", "default/hf"), "default/hf")


def test_a_key_that_a_dying_core_left_half_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "secret.key.new").write_bytes(b"half")
    SecretBox(tmp_path / "secret.key")
    assert len((tmp_path / "secret.key").read_bytes()) == 32


def test_a_damaged_key_is_refused_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_bytes(b"short")
    with pytest.raises(StorageFailed, match="5 bytes, not 32") as caught:
        SecretBox(path)
    assert caught.value.hint == "Restore it from a backup."
    assert path.read_bytes() == b"short"


def test_a_folder_that_takes_no_key_is_named() -> None:
    with pytest.raises(StorageFailed, match=r"The key /proc/secret\.key cannot be kept"):
        SecretBox(Path("/proc/secret.key"))
