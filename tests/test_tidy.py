"""The house rules, held as tests: every finding names the file, the line and what to do."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

import lepton_ai
from tests.tidy import habits, naming, size
from tests.tidy.codemap import insert_map, render_map
from tests.tidy.pages import read_pages, render_page
from tests.tidy.source import ROOT, Rule, Source, read_sources

RULES: Sequence[Rule] = (
    size.file_length,
    size.function_length,
    size.parameter_count,
    naming.file_names,
    naming.class_names,
    naming.first_line,
    naming.unfinished,
    habits.one_clock,
    habits.no_any_in_kernel,
    habits.no_branches_in_tests,
    habits.no_patching,
)


@pytest.fixture(scope="module")
def sources() -> Sequence[Source]:
    return read_sources()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: Rule, sources: Sequence[Source]) -> None:
    violations = [str(violation) for source in sources for violation in rule(source)]
    assert not violations, "\n" + "\n".join(violations)


def test_the_rules_see_every_folder(sources: Sequence[Source]) -> None:
    assert {"src", "tests"} <= {source.path.partition("/")[0] for source in sources}


def test_the_code_map_tells_of_every_module() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    expected = insert_map(page, render_map(ROOT / "src" / "lepton_ai"))
    assert page == expected, "ARCHITECTURE.md:1: the code map is stale: run `make fix`"


@pytest.mark.parametrize("page", read_pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_takes_from_the_code_is_current(page: Path) -> None:
    name = page.relative_to(ROOT)
    assert page.read_text() == render_page(page.read_text()), f"{name}:1: a part of it is stale: run `make fix`"


def test_a_part_that_nobody_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing makes the part 'states of a cat'"):
        render_page("<!-- from the code: states of a cat -->\n<!-- end -->\n")


def test_a_stale_part_is_made_anew() -> None:
    page = "# Job\n\n<!-- from the code: states of a job -->\n\nOBSOLETE\n\n<!-- end -->\n\nMore.\n"
    made = render_page(page)
    assert made.startswith("# Job\n")
    assert "| `queued` | waits" in made
    assert "OBSOLETE" not in made
    assert made.endswith("<!-- end -->\n\nMore.\n")


def test_the_changelog_has_an_unreleased_section_with_entries() -> None:
    page = (ROOT / "CHANGELOG.md").read_text()
    section = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, "CHANGELOG.md:1: add `## [Unreleased]` at the top, and a line on what changes for the user"
    assert "\n- " in section[1], "CHANGELOG.md: the section [Unreleased] has no entry: say what changes for the user"


def test_the_public_names_are_sorted() -> None:
    names = list(lepton_ai.__all__)
    assert names == sorted(names), "src/lepton_ai/__init__.py:1: sort __all__"


def test_every_dependency_has_its_reason_on_record() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    names = {re.split(r"[\[<>=]", line)[0].lower() for line in wanted} - {project["name"]}
    page = (ROOT / "docs/adr/0006-dependencies.md").read_text().lower()
    missing = sorted(name for name in names if not re.search(rf"^\| ([^|]+, )?{name}(,| \|)", page, re.MULTILINE))
    assert not missing, f"docs/adr/0006-dependencies.md: add a line with licence, date and reason for {missing}"


@pytest.mark.parametrize("folder", ["docs", "docs/adr", "docs/concepts"])
def test_every_page_is_listed_in_the_index_of_its_folder(folder: str) -> None:
    index = (ROOT / folder / "README.md").read_text()
    missing = [
        page.name for page in (ROOT / folder).glob("*.md") if page.name != "README.md" and page.name not in index
    ]
    assert not missing, f"{folder}/README.md: link {missing}"
