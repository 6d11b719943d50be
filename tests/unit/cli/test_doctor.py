"""`lepton doctor` and what it looks at."""

from __future__ import annotations

import json
import shlex
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai.backends.certificates import SERVER_LIFETIME, ensure_certificates
from lepton_ai.cli.check import Check, Verdict
from lepton_ai.cli.core_process import RunningCore
from lepton_ai.cli.machine_checks import check_disk, check_haproxy, check_memory, check_onnxruntime, check_python
from lepton_ai.cli.platform_checks import check_certificates, check_core, check_port, check_private_files
from lepton_ai.errors import Unavailable
from lepton_ai.kernel.clock import SystemClock
from tests.unit.cli.program import run
from tests.unit.sdk.fake_platform import FakePlatform

CORE = RunningCore(42, "https://127.0.0.1:8443", "1.0")


def silent() -> None:
    raise Unavailable("It does not answer.")


def test_a_fresh_machine_is_well_but_for_the_core(platform: FakePlatform, tmp_path: Path) -> None:
    result = run(platform, "doctor", "-o", "json", LEPTON_HOME=str(tmp_path), LEPTON_PORT="0")
    assert result.exit_code == 0
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert {"Python", "HAProxy", "Limits", "Memory", "State folder", "CPU", "Core", "Port"} <= checks.keys()
    assert (checks["Core"]["verdict"], checks["Core"]["mend"]) == ("remark", "lepton up")


def test_what_is_broken_fails_it_and_says_what_mends_it(platform: FakePlatform, tmp_path: Path) -> None:
    result = run(platform, "doctor", LEPTON_HOME=str(tmp_path), LEPTON_PORT="many")
    assert result.exit_code == 1
    assert "✗ Settings: LEPTON_PORT" in result.stdout


def test_an_old_python_is_broken() -> None:
    assert check_python((3, 10)).verdict is Verdict.BROKEN
    assert check_python((3, 11)).verdict is Verdict.WELL


def test_the_data_plane_is_really_run() -> None:
    assert check_haproxy().sentence.startswith("HAProxy version 2.")


def test_little_memory_and_a_missing_extra_are_remarks() -> None:
    assert check_memory(10**8).verdict is Verdict.REMARK
    assert check_memory(10**10).verdict is Verdict.WELL
    assert check_onnxruntime(False).mend == "pip install onnxruntime"
    assert check_onnxruntime(True).verdict is Verdict.WELL


def test_a_state_folder_that_is_not_there_yet_is_judged_by_its_place(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "a" / "b").sentence.startswith(f"{tmp_path}/a/b: writable")
    assert check_disk(Path("/proc/nowhere")).verdict is not Verdict.WELL


def test_a_core_is_asked_and_not_only_looked_for() -> None:
    assert check_core(CORE, lambda: None, is_starting=False).verdict is Verdict.WELL
    assert check_core(CORE, silent, is_starting=False).verdict is Verdict.BROKEN
    assert "starting" in check_core(None, silent, is_starting=True).sentence


def test_a_port_that_somebody_holds_is_broken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert check_port("127.0.0.1", port).verdict is Verdict.BROKEN
    assert check_port("127.0.0.1", port).verdict is Verdict.WELL


def test_a_token_that_others_may_read_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    for path in (tmp_path / "admin.token", tmp_path / "profiles" / "local.toml"):
        path.touch(0o600)
    assert [check.verdict for check in check_private_files(tmp_path)] == [Verdict.WELL]
    (tmp_path / "profiles" / "local.toml").chmod(0o644)
    (found,) = check_private_files(tmp_path)
    assert shlex.split(found.mend) == ["chmod", "600", str(tmp_path / "profiles" / "local.toml")]


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (timedelta(0), [Verdict.WELL, Verdict.WELL]),
        (SERVER_LIFETIME - timedelta(days=5), [Verdict.WELL, Verdict.BROKEN]),
    ],
)
def test_a_certificate_near_its_end_is_broken(tmp_path: Path, later: timedelta, expected: list[Verdict]) -> None:
    now = SystemClock().now()
    ensure_certificates(tmp_path / "tls", ["127.0.0.1"], now)
    assert verdicts(list(check_certificates(tmp_path, now + later))) == expected


def test_a_damaged_certificate_is_broken(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("nothing")
    assert verdicts(list(check_certificates(tmp_path, SystemClock().now()))) == [Verdict.BROKEN]


def verdicts(checks: list[Check]) -> list[Verdict]:
    return [check.verdict for check in checks]
