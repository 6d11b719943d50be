"""The profile that `lepton up` writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from lepton_ai.cli.local_profile import check_profile_name, write_local_profile
from lepton_ai.errors import StorageFailed
from lepton_ai.sdk.profiles import Profile, read_profile, write_profile

URL = "https://127.0.0.1:8443"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "admin.token").write_text("lepton_abc\n")
    return tmp_path


def test_it_holds_address_token_and_authority_for_its_owner_alone(home: Path) -> None:
    write_local_profile(home, "mine", URL)
    assert read_profile(home, "mine") == Profile(URL, "lepton_abc", f"{home}/tls/ca.pem", "default")
    assert (home / "profiles" / "mine.toml").stat().st_mode & 0o777 == 0o600


def test_the_project_that_the_user_chose_stays(home: Path) -> None:
    write_profile(home, "local", Profile("https://127.0.0.1:1", "old", project="vision"))
    write_local_profile(home, "local", URL)
    assert read_profile(home, "local").project == "vision"


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_broken_or_open_profile_is_written_anew(home: Path, mode: int) -> None:
    path = write_profile(home, "local", Profile("https://127.0.0.1:1"))
    path.write_text("not toml")
    path.chmod(mode)
    write_local_profile(home, "local", URL)
    assert read_profile(home, "local").url == URL


def test_a_platform_without_its_token_is_a_failure_in_words(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot be written"):
        write_local_profile(tmp_path, "local", URL)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 64])
def test_a_name_that_would_lead_elsewhere_is_a_wrong_usage(name: str) -> None:
    with pytest.raises(typer.BadParameter):
        check_profile_name(name)
