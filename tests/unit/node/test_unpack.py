"""Unpacking what a stranger may have packed."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_ai.errors import InvalidInput
from lepton_ai.node.unpack import unpack
from lepton_ai.sdk.bundle import pack


def member(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


def archive(*members: tarfile.TarInfo) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as made:
        for each in members:
            made.addfile(each, io.BytesIO(bytes(each.size)))
    return io.BytesIO(file.getvalue())


def target_in(folder: Path) -> Path:
    (folder / "target").mkdir()
    return folder / "target"


def everything_beside(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir() if path != target]


def test_a_packed_folder_comes_back_with_content_modes_links_and_empty_folders(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / ("n" * 150)).mkdir(parents=True)
    (source / "deep" / ("n" * 150) / "a").write_bytes(os.urandom(3_000_001))
    (source / "run").write_text("#!/bin/sh")
    (source / "run").chmod(0o755)
    (source / "empty").mkdir()
    (source / "link").symlink_to("deep/" + "n" * 150)
    target = target_in(tmp_path)

    size = unpack(io.BytesIO(b"".join(pack(source, bytes_max=10**7).chunks())), target)

    assert size == 3_000_001 + 9
    assert (target / "link" / "a").read_bytes() == (source / "deep" / ("n" * 150) / "a").read_bytes()
    assert os.access(target / "run", os.X_OK)
    assert not os.access(target / "deep" / ("n" * 150) / "a", os.X_OK)
    assert (target / "empty").is_dir()
    assert (target / "link").is_symlink()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (member("../evil"), "leaves the folder"),
        (member("a/../../evil"), "leaves the folder"),
        (member("/evil"), "leaves the folder"),
        (member("link", tarfile.SYMTYPE, link="/etc"), "link that leaves"),
        (member("link", tarfile.SYMTYPE, link="../.."), "link that leaves"),
        (member("a/link", tarfile.SYMTYPE, link="../../evil"), "link that leaves"),
        (member("link", tarfile.SYMTYPE, link="a/../../evil"), "link that leaves"),
        (member("link", tarfile.SYMTYPE, link=""), "link that leaves"),
        (member("hard", tarfile.LNKTYPE, link="/etc/passwd"), "is a hard link"),
        (member("device", tarfile.CHRTYPE), "is a device"),
        (member("disk", tarfile.BLKTYPE), "is a device"),
        (member("pipe", tarfile.FIFOTYPE), "is a pipe"),
        (member("sparse", tarfile.GNUTYPE_SPARSE), "is a sparse file"),
        (member("contiguous", tarfile.CONTTYPE), "unknown kind"),
        (member("n" * 300), "not a possible file name"),
        (member("n/" * 2500), "longer than 4,096"),
    ],
)
def test_a_member_that_could_do_harm_is_refused_by_name(tmp_path: Path, bad: tarfile.TarInfo, why: str) -> None:
    target = target_in(tmp_path)

    with pytest.raises(InvalidInput, match=why):
        unpack(archive(bad), target)

    assert everything_beside(target) == []


def test_no_file_is_written_through_a_link_of_the_same_bundle(tmp_path: Path) -> None:
    target = target_in(tmp_path)
    (tmp_path / "outside").mkdir()

    with pytest.raises(InvalidInput):
        unpack(archive(member("out", tarfile.SYMTYPE, link="../outside"), member("out/evil", size=5)), target)

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_chain_of_links_that_each_look_harmless_cannot_lead_out(tmp_path: Path) -> None:
    links = [member("here", tarfile.SYMTYPE, link="."), member("up", tarfile.SYMTYPE, link="here/here/../..")]

    with pytest.raises(InvalidInput, match="link that leaves"):
        unpack(archive(*links), target_in(tmp_path))


@pytest.mark.parametrize(
    "members",
    [
        [member("a", size=3), member("a", size=4)],
        [member("a", size=3), member("a/b", size=4)],
        [member("a", size=3), member("a", tarfile.DIRTYPE)],
        [member("a", size=3), member("a", tarfile.SYMTYPE, link="b")],
        [member("a/b", size=3), member("a", tarfile.SYMTYPE, link="b")],
    ],
)
def test_a_name_that_occurs_twice_is_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    with pytest.raises(InvalidInput, match="occurs twice"):
        unpack(archive(*members), target_in(tmp_path))


def test_a_bundle_that_is_cut_is_refused(tmp_path: Path) -> None:
    whole = archive(member("a", size=5000)).getvalue()

    with pytest.raises(InvalidInput, match="ends in the middle"):
        unpack(io.BytesIO(whole[:2000]), target_in(tmp_path))


def test_a_compressed_bundle_is_refused_so_that_it_cannot_grow(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        made.addfile(member("a", size=1_000_000), io.BytesIO(bytes(1_000_000)))

    with pytest.raises(InvalidInput, match=r"not a plain tar|ends in the middle"):
        unpack(io.BytesIO(file.getvalue()), target_in(tmp_path))


def test_an_extended_header_is_refused_unread_whatever_size_it_claims(tmp_path: Path) -> None:
    header = member("x", tarfile.XHDTYPE, size=2**40).tobuf(tarfile.GNU_FORMAT)

    with pytest.raises(InvalidInput, match="extended"):
        unpack(io.BytesIO(header), target_in(tmp_path))


def test_an_archive_of_the_tar_command_is_understood(tmp_path: Path) -> None:
    target = target_in(tmp_path)

    unpack(archive(member("./", tarfile.DIRTYPE), member("./a", size=3)), target)

    assert (target / "a").read_bytes() == bytes(3)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_altered_bytes_end_in_a_refusal_or_in_files_inside_the_target(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(archive(member("a/b", size=600), member("l", tarfile.SYMTYPE, link="a/b")).getvalue()[:3072])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    target = tmp_path / f"t{len(list(tmp_path.iterdir()))}"
    target.mkdir()

    def attempt() -> bool:
        try:
            return unpack(io.BytesIO(bytes(content)), target) >= 0
        except InvalidInput:
            return True

    assert attempt()
    assert all(path.name.startswith("t") for path in tmp_path.iterdir())
