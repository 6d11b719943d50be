"""Which files of a folder stay at home: `.gitignore` and `.leptonignore` at every level, with Git's own meaning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Importing pathspec takes 15 ms, which a folder without ignore files need not pay.
    from pathspec import GitIgnoreSpec

# In this order: a line of the later file overrules the earlier, so `.leptonignore` may take in what Git leaves out.
IGNORE_FILES = (".gitignore", ".leptonignore")
# Never part of a program: history, compiled files of another machine, and our own state folder with its tokens.
ALWAYS_LEFT_OUT = frozenset({".git", "__pycache__", ".lepton"})
VENV_MARKER = "pyvenv.cfg"  # PEP 405: a folder with this file is a virtual environment; it cannot be moved.
IGNORE_FILE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one folder (`base`, relative with a trailing slash, empty for the root) on top of its parents'."""

    base: str = ""
    spec: GitIgnoreSpec | None = None
    parent: IgnoreRules | None = None

    def within(self, directory: str, base: str, names: frozenset[str]) -> IgnoreRules:
        """Return the rules that hold inside `directory`, whose entries are called `names`."""
        lines = [line for name in IGNORE_FILES if name in names for line in _read_lines(f"{directory}/{name}")]
        return IgnoreRules(base, _compile(lines), self) if lines else self

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Tell whether `path` (relative to the root) stays at home. The nearest file that mentions it decides."""
        level: IgnoreRules | None = self
        while level is not None:
            if level.spec is not None:
                verdict = _verdict(level.spec, path[len(level.base) :], is_folder=is_folder)
                if verdict is not None:
                    return verdict
            level = level.parent
        return False


def _verdict(spec: GitIgnoreSpec, path: str, *, is_folder: bool) -> bool | None:
    """Return what the last line that matches says: True leaves out, False takes in, None is silent."""
    if not is_folder:
        return spec.check_file(path).include
    found = spec.check_file(path + "/")
    line = "" if found.index is None else str(spec.patterns[found.index].pattern)
    # To pathspec, "logs/**" matches "logs/" itself; to Git it matches only what is inside, some of which may be kept.
    return spec.check_file(path).include if line.rstrip("/").endswith("/**") else found.include


def _read_lines(path: str) -> list[str]:
    """Return the lines; a folder of that name, a pipe or a dangling link holds none, as for Git."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return (
            os.read(descriptor, IGNORE_FILE_BYTES_MAX)
            .decode("utf-8", "surrogateescape")
            .replace("\r\n", "\n")
            .split("\n")
        )
    except OSError:
        return []
    finally:
        os.close(descriptor)


def _compile(lines: list[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return GitIgnoreSpec.from_lines([line for line in lines if _is_pattern(line)])


def _is_pattern(line: str) -> bool:
    """Git passes over a line that it cannot read, such as a lone `!`; so do we."""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
