"""A page whose blocks fail, print something else, or say nothing of themselves is found wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reader.page import Use, read_blocks
from tests.reader.reader import PageIsWrong, Reader

SHELL = "```bash\n{}\n```\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def read(folder: Path, text: str) -> Reader:
    page = folder.parent / "page.md"
    page.write_text(text)
    reader = Reader("page.md", folder)
    reader.read(read_blocks(page))
    return reader


def test_blocks_share_a_folder_and_a_shell(folder: Path) -> None:
    text = SHELL.format("mkdir -p a; cd a; export WHO=ada; echo one > file") + SHELL.format("echo $WHO $(cat file)")
    assert read(folder, text).printed == "ada one\n"


def test_python_blocks_share_their_names(folder: Path) -> None:
    reader = read(folder, "```python\nx = 20\n```\n\n```python\ny = x + 1\n```\n")
    assert reader.names["y"] == 21


def test_a_file_block_is_written_where_the_shell_finds_it(folder: Path) -> None:
    text = "<!-- file: job.yaml -->\n```yaml\nkind: job\n```\n" + SHELL.format("cat job.yaml")
    assert read(folder, text).printed == "kind: job\n"


def test_a_failing_command_is_told_with_its_line_and_output(folder: Path) -> None:
    with pytest.raises(PageIsWrong, match=r"(?s)page.md:3: this block exits with 3.*sorry"):
        read(folder, "# Title\n\n" + SHELL.format("echo sorry; exit 3"))


def test_a_failing_command_in_the_middle_of_a_block_is_told(folder: Path) -> None:
    with pytest.raises(PageIsWrong, match="exits with 1"):
        read(folder, SHELL.format("false\necho went on"))


def test_an_output_block_must_be_what_was_printed(folder: Path) -> None:
    with pytest.raises(PageIsWrong, match="but this was printed"):
        read(folder, SHELL.format("echo two") + "\n<!-- output -->\n```text\none\n```\n")


def test_dots_in_an_output_block_stand_for_any_text(folder: Path) -> None:
    text = SHELL.format("echo loss: 0.53; echo x; echo y; echo end")
    assert read(folder, text + "\n<!-- output -->\n```text\nloss: ...\n...\nend\n```\n").printed.endswith("end\n")


def test_an_output_block_may_follow_python(folder: Path) -> None:
    text = "```python\nprint(6 * 7)\n```\n\n<!-- output -->\n```text\n42\n```\n"
    assert read(folder, text).printed == "42\n"


def test_a_block_marked_not_run_is_not_run(folder: Path) -> None:
    assert read(folder, "<!-- not run: needs a GPU -->\n" + SHELL.format("exit 1")).printed == ""


@pytest.mark.parametrize("text", ["```yaml\na: 1\n```\n", "```\na\n```\n", "<!-- not run -->\n```bash\ntrue\n```\n"])
def test_a_block_that_nobody_spoke_for_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md:\d+: "):
        read(folder, text)


def test_text_is_shown_only(folder: Path) -> None:
    (folder / "page.md").write_text("```text\nexit 1\n```\n")
    assert [block.use for block in read_blocks(folder / "page.md")] == [Use.SHOWN]
