"""Each house rule finds what it forbids, and leaves alone what it allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tidy import habits, naming, size
from tests.tidy.codemap import BEGIN, END, insert_map, render_map
from tests.tidy.source import Rule, Source

KERNEL = "src/lepton_ai/kernel/x.py"
CLI = "src/lepton_ai/cli/x.py"
TEST = "tests/unit/test_x.py"
SIX = "a, b, c, d, e, f"

BROKEN = [
    (size.file_length, KERNEL, "x = 1\n" * 301, 301),
    (size.function_length, KERNEL, "def f():\n" + "    x = 1\n" * 50, 1),
    (size.parameter_count, KERNEL, f"def f({SIX}): ...", 1),
    (size.parameter_count, KERNEL, "def f(a, b, c, d, *, e=1, **f): ...", 1),
    (size.parameter_count, KERNEL, f"@app.command()\ndef f({SIX}): ...", 2),
    (size.parameter_count, CLI, f"@cache()\ndef f({SIX}): ...", 2),
    (naming.file_names, "src/lepton_ai/kernel/job_utils.py", "", 1),
    (naming.file_names, "src/lepton_ai/helpers/store.py", "", 1),
    (naming.class_names, KERNEL, "\nclass JobManager: ...", 2),
    (naming.class_names, KERNEL, "class NodeInfo: ...", 1),
    (naming.first_line, KERNEL, "import os\n", 1),
    (naming.first_line, KERNEL, '\n"""The store of objects."""\n', 1),
    (naming.first_line, KERNEL, '"""kernel"""\n', 1),
    (naming.first_line, KERNEL, "", 1),
    (naming.unfinished, KERNEL, "x = 1\ny = 2  # TODO: more\n", 2),
    (naming.unfinished, KERNEL, "# FIXME later\n", 1),
    (habits.one_clock, KERNEL, "import datetime\nx = datetime.datetime.now()", 2),
    (habits.one_clock, TEST, "x = time.time()", 1),
    (habits.one_clock, KERNEL, "from time import time", 1),
    (habits.no_any_in_kernel, KERNEL, "def put(x: dict[str, Any]) -> None: ...", 1),
    (habits.no_any_in_kernel, KERNEL, "def get() -> typing.Any: ...", 1),
    (habits.no_branches_in_tests, TEST, "def test_x():\n    if x:\n        assert y", 2),
    (habits.no_branches_in_tests, TEST, "async def test_x():\n    match x:\n        case 1: pass", 2),
    (habits.no_patching, TEST, "from unittest import mock", 1),
    (habits.no_patching, TEST, "def test_x(monkeypatch):\n    monkeypatch.setattr('lepton_ai.sdk.x', 1)", 2),
]

KEPT = [
    (size.file_length, KERNEL, "x = 1\n" * 300),
    (size.function_length, KERNEL, "def f():\n" + "    x = 1\n" * 49),
    (size.parameter_count, KERNEL, "class A:\n    def f(self, a, b, c, d, e): ..."),
    (size.parameter_count, CLI, f"@app.command()\ndef f({SIX}): ..."),
    (naming.file_names, "src/lepton_ai/kernel/commonwealth.py", ""),
    (naming.class_names, KERNEL, "class DataDisk: ..."),
    (naming.first_line, KERNEL, '"""The store of objects."""\n'),
    (naming.first_line, KERNEL, '#!/usr/bin/env python3\n"""The store of objects."""\n'),
    (naming.unfinished, KERNEL, "# TODO #12: the second page\n"),
    (naming.unfinished, KERNEL, "x = 'TODO'\n"),
    (habits.one_clock, habits.CLOCK, "x = datetime.now(UTC)"),
    (habits.one_clock, KERNEL, "x = clock.now()\ny = time.monotonic()"),
    (habits.no_any_in_kernel, KERNEL, "def _put(x: Any) -> None: ..."),
    (habits.no_any_in_kernel, "src/lepton_ai/sdk/x.py", "def put(x: Any) -> None: ..."),
    (habits.no_branches_in_tests, TEST, "def build(x):\n    if x:\n        return y"),
    (habits.no_patching, TEST, "def test_x(monkeypatch):\n    monkeypatch.setenv('HOME', '/')"),
]


@pytest.mark.parametrize(("rule", "path", "text", "line"), BROKEN)
def test_a_rule_names_the_line_that_breaks_it(rule: Rule, path: str, text: str, line: int) -> None:
    (violation,) = rule(Source(path, text))
    assert str(violation).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(("rule", "path", "text"), KEPT)
def test_a_rule_leaves_alone_what_it_allows(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text))) == []


def test_the_code_map_has_a_line_for_each_module(tmp_path: Path) -> None:
    package = tmp_path / "lepton_ai"
    (package / "kernel").mkdir(parents=True)
    (package / "kernel" / "__init__.py").write_text('"""The kernel of it."""\n')
    (package / "kernel" / "clock.py").write_text('"""What time it is.\n\nMore."""\n')
    assert render_map(package) == "### `lepton_ai/kernel/`\n\nThe kernel of it.\n\n- `clock.py`: What time it is."


def test_the_code_map_replaces_only_what_stands_between_its_markers() -> None:
    page = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    assert insert_map(page, "new") == f"above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the line"):
        insert_map("no markers here", "new")
