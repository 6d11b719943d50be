"""The code map in ARCHITECTURE.md: one line per module, taken from the first line of its docstring.

`make fix` writes it; tests/test_tidy.py fails when it is stale.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEGIN = "<!-- code map: written by `make fix` from the first line of each module -->"
END = "<!-- end of the code map -->"


def render_map(package: Path) -> str:
    """Return the map of `package` as Markdown: a heading for each folder, a line for each module in it."""
    sections = []
    for folder in [package, *sorted(path for path in package.rglob("*") if path.is_dir())]:
        modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        init = folder / "__init__.py"
        if not modules and not init.exists():
            continue
        name = "/".join((package.name, *folder.relative_to(package).parts))
        lines = [f"### `{name}/`", "", _purpose(init)] if init.exists() else [f"### `{name}/`"]
        if modules:
            lines += ["", *(f"- `{path.name}`: {_purpose(path)}" for path in modules)]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def insert_map(document: str, code_map: str) -> str:
    """Return `document` with what stands between the two markers replaced by `code_map`."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks the line {BEGIN if not begin else END!r}")
    return f"{before}{BEGIN}\n\n{code_map}\n\n{END}{after}"


def _purpose(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return docstring.partition("\n")[0]


def main(root: Path = ROOT) -> None:
    page = root / "ARCHITECTURE.md"
    page.write_text(insert_map(page.read_text(), render_map(root / "src" / "lepton_ai")))


if __name__ == "__main__":
    main()
