"""Runs `lepton` in this process against a platform that answers from a script."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from lepton_ai.cli.main import app
from lepton_ai.cli.session import Session
from lepton_ai.sdk.client import LeptonAI
from tests.unit.sdk.fake_platform import FakePlatform

JOBS = "/api/v1/projects/default/jobs"
ENDPOINTS = "/api/v1/projects/default/endpoints"


def run(platform: FakePlatform, *words: str, stdin: str | bytes | None = None, **env: str) -> Result:
    """Run one command line; its client speaks to `platform`, whatever instance is named."""
    return run_with(platform.client, *words, stdin=stdin, **env)


def run_with(client: LeptonAI, *words: str, stdin: str | bytes | None = None, **env: str) -> Result:
    """Run one command line with a client of the test's own."""
    session = Session(open=lambda *_: client)
    return CliRunner().invoke(app, list(words), obj=session, input=stdin, env={"COLUMNS": "80", **env})


def printed(result: Result) -> Any:
    """Return the JSON on stdout."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def rows(result: Result) -> list[list[str]]:
    """Return the words of each line of a table."""
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]
