"""Sends the working directory before a job or endpoint is created, with a bar if it takes a while."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_ai.cli.output import console, is_terminal, notice
from lepton_ai.errors import InvalidInput

if TYPE_CHECKING:
    from rich.progress import Progress

    from lepton_ai.sdk.client import LeptonAI

NONE = "none"
BAR_BYTES_MIN = 8 * 1024 * 1024  # below, it is over before anybody has read a bar


def upload_workdir(client: LeptonAI, workdir: str) -> str:
    """Upload the folder that was asked for and return its digest, empty for none.

    Without a wish it is the present folder, unless that holds the home folder: nobody means to send all that.
    """
    if workdir == NONE:
        return ""
    folder = Path(workdir or ".").expanduser()
    if not folder.is_dir():
        raise InvalidInput(
            f"{folder} is not a folder.", hint="Name a folder with --workdir, or send none: --workdir none"
        )
    if not workdir and Path.home().resolve().is_relative_to(folder.resolve()):
        notice(f"{folder.resolve()} is not uploaded, since it is or holds your home folder: it starts in an empty one.")
        notice(
            "To send a folder, go there or name it: --workdir DIR. To send none, without this notice: --workdir none"
        )
        return ""
    bar = _Bar(folder.resolve().name)
    try:
        return client.jobs.upload(str(folder), bar.show)
    finally:
        bar.end()


class _Bar:
    """A progress bar on stderr, which appears with the first news of a big upload, and only at a terminal."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._progress: Progress | None = None

    def show(self, sent: int, total: int) -> None:
        if total < BAR_BYTES_MIN or not is_terminal(sys.stderr):
            return
        if self._progress is None:
            self._progress = _new_progress()
            self._progress.add_task(f"Uploading {self._what}", total=total)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=sent)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _new_progress() -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console(sys.stderr), transient=True)
