"""The real probe: tools that fail, hang, or write to a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lepton_ai.node.hardware.pci import normal_address, parse_pci
from lepton_ai.node.hardware.probe import OUTPUT_FILE, ProbeFailed, SystemProbe


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of an executable named some-smi that tests fill."""
    path = tmp_path / "some-smi"
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return path


def test_a_tool_s_output_is_returned(tool: Path) -> None:
    tool.write_text("#!/bin/sh\necho one $1 $LC_ALL\n")
    assert SystemProbe().has("some-smi")
    assert SystemProbe().run("some-smi", "two") == "one two C"


def test_a_tool_that_writes_a_file_is_read_from_it(tool: Path) -> None:
    tool.write_text('#!/bin/sh\necho text; test ! -e "$2" && echo "{}" > "$2"\n')
    assert SystemProbe().run("some-smi", "-o", OUTPUT_FILE) == "{}"


def test_a_tool_that_fails_says_why_in_its_last_line(tool: Path) -> None:
    tool.write_text("#!/bin/sh\necho noise >&2; echo 'no devices' >&2; exit 3\n")
    with pytest.raises(ProbeFailed, match="some-smi exited with 3: no devices"):
        SystemProbe().run("some-smi")


def test_a_tool_that_hangs_is_ended_with_its_children(tool: Path, tmp_path: Path) -> None:
    tool.write_text(f"#!/bin/sh\nsleep 300 & echo $! > {tmp_path}/child; wait\n")
    with pytest.raises(ProbeFailed, match="did not answer within"):
        SystemProbe(deadline=time.monotonic() + 1.0).run("some-smi")
    child = (tmp_path / "child").read_text().strip()
    deadline = time.monotonic() + 10.0  # the kernel takes a killed process off when it gets to it
    while _state_of(child) not in {"", "Z"} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _state_of(child) in {"", "Z"}


def test_no_tool_is_started_after_the_deadline(tool: Path, tmp_path: Path) -> None:
    tool.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    with pytest.raises(ProbeFailed, match="no time left"):
        SystemProbe(deadline=time.monotonic() - 1).run("some-smi")
    assert not (tmp_path / "started").exists()


def test_a_tool_that_is_not_a_program_or_not_there_is_told_so(tool: Path) -> None:
    tool.write_bytes(b"\x7fELF not really")
    with pytest.raises(ProbeFailed, match="could not be started"):
        SystemProbe().run("some-smi")
    with pytest.raises(ProbeFailed, match="is not installed"):
        SystemProbe().run("no-such-smi")


def test_files_that_cannot_be_read_are_empty_and_long_ones_are_cut(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"\xff" + b"a" * 100)
    assert SystemProbe().read(str(tmp_path / "none")) == ""
    assert SystemProbe().read(str(tmp_path)) == ""
    assert SystemProbe().read(str(tmp_path / "long"), 3) == "\ufffdaa"


def test_pci_functions_that_vanish_are_left_out() -> None:
    files = {
        "/p/0000:00:02.0/vendor": "0x8086",
        "/p/0000:00:02.0/device": "0x56a0",
        "/p/0000:00:02.0/class": "0x030000",
    }
    found = parse_pci(["/p/0000:00:02.0", "/p/0000:00:03.0"], lambda path: files.get(path, ""))
    assert [(f.address, f.vendor, f.is_accelerator) for f in found] == [("0000:00:02.0", 0x8086, True)]


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("81:00.0", "0000:81:00.0"),
        ("0000:81:00.0", "0000:81:00.0"),
        ("00000000:C1:00.0", "0000:c1:00.0"),
        ("N/A", ""),
        ("", ""),
        ("::.", ""),
    ],
)
def test_addresses_are_compared_in_one_form(written: str, address: str) -> None:
    assert normal_address(written) == address


def _state_of(pid: str) -> str:
    """Return the state letter of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""
