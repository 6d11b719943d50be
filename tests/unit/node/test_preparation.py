"""A program's files and environment together."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.node.bundle import BundleCache
from lepton_ai.node.environment import EnvironmentCache
from lepton_ai.node.preparation import Preparer
from lepton_ai.sdk.bundle import pack
from lepton_ai.types.task import Program


def preparer_with(folder: Path, content: bytes = b"") -> Preparer:
    def open_blob(digest: str) -> BinaryIO:
        return io.BytesIO(content)

    return Preparer(open_blob, BundleCache(folder / "bundles", open_blob), EnvironmentCache(folder / "envs"))


def test_a_bundle_fills_the_folder_and_no_requirements_need_no_environment(tmp_path: Path) -> None:
    content = b"".join(pack(None, bytes_max=10**6, extra={"a.py": b"print()"}).chunks())
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    found = preparer_with(tmp_path, content).prepare(Program(command=("true",), bundle=digest), tmp_path / "work")

    assert found is None
    assert (tmp_path / "work" / "a.py").read_bytes() == b"print()"
    assert not (tmp_path / "envs").exists()


def test_a_program_without_files_leaves_its_folder_empty(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()

    preparer_with(tmp_path).prepare(Program(command=("true",)), tmp_path / "work")

    assert list((tmp_path / "work").iterdir()) == []


def test_a_bad_requirement_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    program = Program(command=("true",), requirements=("--index-url=https://example.org",), bundle="sha256:" + "0" * 64)

    with pytest.raises(InvalidInput, match="option of an installer"):
        preparer_with(tmp_path).prepare(program, tmp_path / "work")

    assert not (tmp_path / "work").exists()


def test_a_pickled_call_is_laid_beside_the_folder_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "replica" / "prepared").mkdir(parents=True)
    program = Program(command=("true",), call="sha256:" + "0" * 64)

    preparer_with(tmp_path, b"a call").prepare(program, tmp_path / "replica" / "prepared")

    call = tmp_path / "replica" / "call.pickle"
    assert call.read_bytes() == b"a call"
    assert call.stat().st_mode & 0o777 == 0o600
