"""A reader who types what a page says: in order, in one folder, in one shell, against a platform of their own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.reader.page import Block, Use

BLOCK_SECONDS_MAX = 180  # the slowest block trains a small network
REMEMBER = (
    'trap \'code=$?; export -p >"$READER_STATE"; echo "cd $(printf %q "$PWD")" >>"$READER_STATE"; exit $code\' EXIT'
)


class PageIsWrong(AssertionError):
    """A block did not do what its page promises."""


@dataclass
class Reader:
    """Types the blocks of one page. `folder` is where they are at first; what they export and their folder last."""

    page: str
    folder: Path
    printed: str = ""
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})

    def read(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            match block.use:
                case Use.SHELL:
                    self.printed = self._type(block.source, block.line)
                case Use.PYTHON:
                    self.printed = self._run(block.source, block.line)
                case Use.FILE:
                    self._write(block)
                case Use.OUTPUT:
                    self._compare(block)
                case Use.SHOWN:
                    pass

    def _run(self, source: str, line: int) -> str:
        # Padded, so that a traceback names the line of the page.
        code = compile("\n" * line + source, self.page, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code, self.names)
        return output.getvalue()

    def _type(self, source: str, line: int) -> str:
        state = self.folder.parent / "shell-state"
        recall = f"[ ! -e {shlex.quote(str(state))} ] || . {shlex.quote(str(state))}"
        script = f"{recall}\nexport READER_STATE={shlex.quote(str(state))}\n{REMEMBER}\nset -euo pipefail\n{source}"
        printed_to = self.folder.parent / "printed"
        # A file and not a pipe: a process that goes on in the background would hold a pipe open for ever.
        with printed_to.open("w+") as output:
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ,
                start_new_session=True,
            )
            try:
                code = process.wait(timeout=BLOCK_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
                code = -9
        printed = printed_to.read_text(errors="replace")
        if code != 0:
            raise PageIsWrong(f"{self.page}:{line}: this block exits with {code}:\n{source}\n{printed}")
        return printed

    def _write(self, block: Block) -> None:
        path = self.folder / block.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.source)

    def _compare(self, block: Block) -> None:
        """Compare what was printed with what the page shows; `...` stands for any text."""
        shown = "\n".join(line.rstrip() for line in block.source.strip().splitlines())
        printed = "\n".join(line.rstrip() for line in self.printed.strip().splitlines())
        pattern = ".*?".join(re.escape(part) for part in shown.split("..."))
        if not re.fullmatch(pattern, printed, re.DOTALL):
            raise PageIsWrong(f"{self.page}:{block.line}: the page shows\n{shown}\nbut this was printed\n{printed}")
