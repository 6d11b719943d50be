"""House rules on names: a name that fits everything says nothing."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.tidy.source import Source, Violation

FILE_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"})
CLASS_SUFFIXES = ("Manager", "Handler", "Processor", "Info", "Data")
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!.*#\d)")


def file_names(source: Source) -> Iterator[Violation]:
    """A file is named after its noun or verb."""
    for part in PurePosixPath(source.path).with_suffix("").parts:
        banned = FILE_NAMES.intersection(part.lower().split("_"))
        if banned:
            advice = f"{part!r} contains {min(banned)!r}: name the file after the one noun or verb that it holds"
            yield Violation(source.path, 1, advice)


def class_names(source: Source) -> Iterator[Violation]:
    """A class is named after what it is."""
    for node in source.nodes:
        if isinstance(node, ast.ClassDef) and node.name.endswith(CLASS_SUFFIXES):
            suffix = next(suffix for suffix in CLASS_SUFFIXES if node.name.endswith(suffix))
            yield Violation(source.path, node.lineno, f"class {node.name}: drop -{suffix} and say what it is or does")


def first_line(source: Source) -> Iterator[Violation]:
    """The first line of a file says what it is for."""
    first = source.tree.body[0] if source.tree.body else None
    starts_at = 2 if source.text.startswith("#!") else 1
    docstring = ast.get_docstring(source.tree) or ""
    if first is None or first.lineno != starts_at or len(docstring.partition("\n")[0].split()) < 3:
        yield Violation(source.path, 1, "start with a docstring whose first line says what the file is for")


def unfinished(source: Source) -> Iterator[Violation]:
    """What is left to do is in the issue tracker."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and _UNFINISHED.search(token.string):
            yield Violation(source.path, token.start[0], "do it now, or name the issue: TODO #12")
