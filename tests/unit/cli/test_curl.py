"""The curl line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lepton_ai.cli.curl import curl_line
from lepton_ai.sdk.profiles import Profile, Target, write_profile

URL = "https://127.0.0.1:8443/endpoints/default/digits/"
TOKEN = "lepton_abc"


def target(source: str) -> Target:
    return Target(url="https://127.0.0.1:8443", token=TOKEN, token_source=source, ca="/srv/my ca.pem")


def said_by(line: str, home: Path) -> list[str]:
    """Return the words that curl would get from a shell."""
    shell = shutil.which("sh")
    assert shell
    done = subprocess.run(
        [shell, "-c", f'curl() {{ printf "%s\\n" "$@"; }}; {line}'],
        capture_output=True, text=True, check=True, env={"LEPTON_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"}, cwd=home,
    )  # fmt: skip
    return done.stdout.splitlines()


EXPECTED = ["--cacert", "/srv/my ca.pem", "-H", f"Authorization: Bearer {TOKEN}", URL]


def test_on_the_platforms_own_machine_the_token_comes_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path))
    (tmp_path / "admin.token").write_text(f"{TOKEN}\n")
    line = curl_line(target("the profile x"), URL)
    assert f"$(cat {tmp_path}/admin.token)" in line
    assert said_by(line, tmp_path) == EXPECTED


def test_elsewhere_it_comes_from_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path))
    path = write_profile(tmp_path, "far", Profile("https://127.0.0.1:8443", TOKEN))
    line = curl_line(target(f"the profile {path}"), URL)
    assert TOKEN not in line
    assert said_by(line, tmp_path) == EXPECTED


def test_a_token_of_the_environment_stays_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path))
    monkeypatch.setenv("LEPTON_TOKEN", TOKEN)
    line = curl_line(target("LEPTON_TOKEN"), URL)
    assert "$LEPTON_TOKEN" in line
    assert said_by(line, tmp_path) == EXPECTED
