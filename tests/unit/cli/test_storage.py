"""`lepton bucket` and `lepton storage`, as a user types them, before the real API and a real folder of objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from tests.unit.cli.program import printed, rows, run_with
from tests.unit.sdk.live_platform import LivePlatform

MIB = 1024 * 1024


class Shell:
    """A user with a folder of their own, at a platform with a bucket `data`."""

    def __init__(self, folder: Path) -> None:
        self.platform = LivePlatform(folder / "home")
        self.client = self.platform.client_of()
        self.folder = folder
        self.client.buckets.create("data")

    def type(self, *words: str) -> Result:
        """Run `lepton WORDS`."""
        return run_with(self.client, *words)

    def file(self, name: str, content: str = "content") -> str:
        """Make a file and return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return str(path)

    def names(self, prefix: str = "") -> list[str]:
        """Return what the bucket holds."""
        return sorted(entry.name for entry in self.client.bucket("data").list(prefix))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.platform.close()


def test_buckets_are_made_listed_and_deleted(shell: Shell) -> None:
    assert "Bucket models is there" in shell.type("bucket", "create", "models", "--description", "for serving").stdout
    listed = rows(shell.type("bucket", "list"))
    assert [(row[0], row[1]) for row in listed] == [("NAME", "STATE"), ("models", "ready"), ("data", "ready")]
    assert printed(shell.type("bucket", "delete", "models", "-o", "json"))["metadata"]["deletion_requested_at"]


def test_a_bucket_that_holds_something_is_deleted_only_on_purpose(shell: Shell) -> None:
    shell.type("storage", "cp", shell.file("a"), "bucket://data/")
    refused = shell.type("bucket", "delete", "data")
    assert (refused.exit_code, "--recursive" in refused.stderr) == (2, True)
    assert shell.type("bucket", "delete", "-r", "data").exit_code == 0


@pytest.mark.parametrize(
    ("target", "name"), [("bucket://data/", "a.txt"), ("bucket://data", "a.txt"), ("bucket://data/x/", "x/a.txt")]
)
def test_a_file_keeps_its_name_in_a_folder(shell: Shell, target: str, name: str) -> None:
    assert shell.type("storage", "cp", shell.file("a.txt"), target).exit_code == 0
    assert shell.names() == [name]


def test_a_file_takes_the_name_that_it_is_given(shell: Shell) -> None:
    shell.type("storage", "cp", shell.file("a.txt"), "bucket://data/b.txt")
    result = shell.type("storage", "cp", "bucket://data/b.txt", str(shell.folder / "c.txt"))
    assert result.stdout == "1 object copied, 7 B.\n"
    assert (shell.folder / "c.txt").read_text() == "content"


def test_folders_go_up_and_come_down_whole(shell: Shell) -> None:
    for name in ("in/a", "in/b/c", "in/b/d"):
        shell.file(name, name)
    assert "3 objects copied" in shell.type("storage", "cp", "-r", str(shell.folder / "in"), "bucket://data/up").stdout
    assert shell.names() == ["up/a", "up/b/c", "up/b/d"]
    shell.type("storage", "cp", "-r", "bucket://data/up", str(shell.folder / "out"))
    assert (shell.folder / "out" / "b" / "d").read_text() == "in/b/d"


def test_a_copy_that_broke_off_is_resumed_with_what_is_missing(shell: Shell) -> None:
    for name in ("in/a", "in/b", "in/c"):
        shell.file(name, name)
    up = ("storage", "cp", "-r", "--resume", str(shell.folder / "in"), "bucket://data/up")
    shell.client.bucket("data").put("up/a", b"in/a")
    shell.client.bucket("data").put("up/b", b"of another size")
    assert shell.type(*up).stdout == "2 objects copied, 8 B.\n"
    assert shell.type(*up).stdout == "0 objects copied, 0 B.\n"
    shell.file("out/c", "in/c")
    down = ("storage", "cp", "-r", "--resume", "bucket://data/up", str(shell.folder / "out"))
    assert shell.type(*down).stdout == "2 objects copied, 8 B.\n"
    assert (shell.folder / "out" / "b").read_text() == "in/b"
    assert shell.type("storage", "cp", "--resume", shell.file("d"), "bucket://data/").exit_code == 2


def test_objects_are_copied_between_buckets(shell: Shell) -> None:
    shell.client.buckets.create("more")
    shell.client.bucket("data").put("a", bytes(9 * MIB))
    assert shell.type("storage", "cp", "bucket://data/a", "bucket://more/b").exit_code == 0
    assert shell.client.bucket("more").get("b") == bytes(9 * MIB)


def test_what_is_moved_is_gone_from_where_it_was(shell: Shell) -> None:
    shell.client.bucket("data").put("a", b"content")
    assert shell.type("storage", "mv", "bucket://data/a", "bucket://data/old/").stdout == "1 object moved, 7 B.\n"
    assert shell.names() == ["old/a"]


def test_what_cannot_be_moved_stays(shell: Shell) -> None:
    shell.client.bucket("data").put("a", b"content")
    assert shell.type("storage", "mv", "bucket://data/a", "bucket://nowhere/").exit_code == 1
    assert shell.names() == ["a"]
    assert shell.type("storage", "mv", shell.file("b"), "bucket://data/").exit_code == 2


def test_moving_something_onto_itself_does_not_lose_it(shell: Shell) -> None:
    shell.client.bucket("data").put("a", b"content")
    assert shell.type("storage", "mv", "bucket://data/a", "bucket://data/a").exit_code == 1
    assert shell.names() == ["a"]


def test_folders_are_listed_one_at_a_time_or_all_at_once(shell: Shell) -> None:
    for name in ("a/1", "a/b/2", "c"):
        shell.client.bucket("data").put(name, b"content")
    assert [row[0] for row in rows(shell.type("storage", "ls", "bucket://data"))] == ["NAME", "a/", "c"]
    assert [row[0] for row in rows(shell.type("storage", "ls", "bucket://data/a"))] == ["NAME", "a/b/", "a/1"]
    recursive = printed(shell.type("storage", "ls", "-r", "bucket://data", "-o", "json"))
    assert [(one["name"], one["size"]) for one in recursive] == [("a/1", 7), ("a/b/2", 7), ("c", 7)]


def test_use_is_added_up(shell: Shell) -> None:
    for name in ("a/1", "a/2", "b"):
        shell.client.bucket("data").put(name, b"content")
    assert shell.type("storage", "du", "bucket://data/a/").stdout == "2 objects, 14 B.\n"
    assert printed(shell.type("storage", "du", "bucket://data", "-o", "json")) == {"objects": 3, "bytes": 21}


def test_content_is_printed_as_it_is(shell: Shell) -> None:
    shell.client.bucket("data").put("a", b"\x00\xffbytes")
    assert shell.type("storage", "cat", "bucket://data/a").stdout_bytes == b"\x00\xffbytes"


def test_objects_are_removed_one_by_one_or_a_folder_at_once(shell: Shell) -> None:
    for name in ("a/1", "a/2", "b"):
        shell.client.bucket("data").put(name, b"content")
    assert shell.type("storage", "rm", "bucket://data/a/").exit_code == 2
    assert shell.type("storage", "rm", "bucket://data/b").stdout == "1 object deleted.\n"
    assert shell.type("storage", "rm", "-r", "bucket://data/a/").stdout == "2 objects deleted.\n"
    assert shell.names() == []
    missing = shell.type("storage", "rm", "bucket://data/b")
    assert (missing.exit_code, "There is no object 'b'" in missing.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cp", "/nowhere/file", "bucket://data/"), "There is no file /nowhere/file"),
        (("cp", "/", "bucket://data/"), "/ is a folder"),
        (("cp", "bucket://data/", "."), "stands for everything below it"),
        (("cp", "-r", "bucket://data/none/", "."), "There is nothing below"),
        (("cp", "bucket:///x", "."), "names no bucket"),
        (("cp", "/etc/hostname", "bucket://data/../x"), "cannot name an object"),
        (("cat", "bucket://data/none"), "There is no object 'none'"),
    ],
)
def test_what_cannot_be_is_said_in_words(shell: Shell, words: tuple[str, ...], said: str) -> None:
    result = shell.type("storage", *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_a_rotated_key_is_told_by_its_version(shell: Shell) -> None:
    shell.client.bucket("data").put("a", b"content")
    assert "under version 2." in shell.type("bucket", "rotate-key").stdout
    assert shell.type("storage", "cat", "bucket://data/a").stdout == "content"
