"""A page of the documentation as a list of code blocks, each with what the test shall do with it.

An invisible comment on the line before a block tells it:

    <!-- not run: the reason -->    the block is shown only
    <!-- file: job.yaml -->         the block is written to this file in the reader's folder
    <!-- output -->                 the block is what the block before it prints; `...` stands for any text

Without a comment, `bash` and `python` blocks are run, `text` and `mermaid` are shown, and any other language is an
error, so that nothing is skipped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sybil import Document
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

_LANGUAGE = re.compile(r"(?P<language>[^\n]*)$\n", re.MULTILINE)
_COMMENT = re.compile(r"<!-- (?P<verb>not run|file|output)(?:: (?P<detail>.+?))? -->\n+\Z")
_SHOWN = frozenset({"text", "mermaid"})


class Use(StrEnum):
    """What a test does with a block."""

    SHELL = "bash"
    PYTHON = "python"
    SHOWN = "shown"
    FILE = "file"
    OUTPUT = "output"


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its opening fence, `name` the file that it is to be written to."""

    use: Use
    source: str
    line: int
    name: str = ""


def read_blocks(page: Path) -> Sequence[Block]:
    """Return the blocks of `page` in order; raises ValueError at a block of which nobody said what to do with it."""
    document = Document.parse(str(page))
    return tuple(
        _block(document, region.start, region.lexemes["language"].strip(), str(region.lexemes["source"]))
        for region in RawFencedCodeBlockLexer(_LANGUAGE)(document)
    )


def _block(document: Document, start: int, language: str, source: str) -> Block:
    line = document.text.count("\n", 0, start) + 1
    comment = _COMMENT.search(document.text[:start])
    verb, detail = (comment["verb"], comment["detail"] or "") if comment else ("", "")
    if verb in {"not run", "file"} and not detail:
        raise ValueError(f"{document.path}:{line}: the comment needs more: <!-- {verb}: ... -->")
    match verb:
        case "not run":
            return Block(Use.SHOWN, source, line)
        case "file":
            return Block(Use.FILE, source, line, detail)
        case "output":
            return Block(Use.OUTPUT, source, line)
    if language in _SHOWN:
        return Block(Use.SHOWN, source, line)
    if language not in {Use.SHELL, Use.PYTHON}:
        raise ValueError(
            f"{document.path}:{line}: a block of {language or 'no language'!r} is neither run nor shown. "
            "Write bash, python or text, or say <!-- file: NAME --> or <!-- not run: REASON --> above it."
        )
    return Block(Use(language), source, line)
