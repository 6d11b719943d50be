"""Which instance a client speaks to, and as whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput, NotFound, Unauthenticated
from lepton_ai.sdk.profiles import Profile, list_profiles, read_profile, resolve, write_profile
from lepton_ai.settings import default_home
from lepton_ai.types.home import home_folder

URL = "https://127.0.0.1:8443"
LOCAL = Profile(URL, "lepton_local", "/home/ada/ca.pem", "vision")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    write_profile(tmp_path, "local", LOCAL)
    return {"LEPTON_HOME": str(tmp_path)}


def path_of(environment: dict[str, str], name: str = "local") -> Path:
    return Path(environment["LEPTON_HOME"]) / "profiles" / f"{name}.toml"


def test_without_arguments_the_profile_local_is_taken(environment: dict[str, str]) -> None:
    target = resolve("", "", "", environment)
    assert (target.url, target.token, target.ca, target.project) == (URL, "lepton_local", "/home/ada/ca.pem", "vision")
    assert target.token_source == f"the profile {path_of(environment)}"


def test_the_environment_overrules_the_profile(environment: dict[str, str]) -> None:
    write_profile(Path(environment["LEPTON_HOME"]), "other", Profile("https://10.0.0.1", "t"))
    more = {"LEPTON_INSTANCE": "other", "LEPTON_TOKEN": "lepton_env", "LEPTON_PROJECT": "speech", "LEPTON_CA": "/ca"}
    target = resolve("", "", "", environment | more)
    assert (target.url, target.token, target.project, target.ca) == ("https://10.0.0.1", "lepton_env", "speech", "/ca")
    assert target.token_source == "LEPTON_TOKEN"


def test_arguments_overrule_the_environment(environment: dict[str, str]) -> None:
    more = {"LEPTON_INSTANCE": "nowhere", "LEPTON_TOKEN": "lepton_env", "LEPTON_PROJECT": "speech"}
    target = resolve("local", "lepton_argument", "robots", environment | more)
    assert (target.token, target.project, target.token_source) == ("lepton_argument", "robots", "the argument `token`")


def test_the_seeds_instance_is_a_profile_of_that_name(environment: dict[str, str]) -> None:
    write_profile(Path(environment["LEPTON_HOME"]), "my_lepton_instance", LOCAL)
    assert resolve("my_lepton_instance", "my_token", "", environment).token == "my_token"


def test_an_unknown_name_is_refused_with_the_known_ones(environment: dict[str, str]) -> None:
    with pytest.raises(NotFound, match=r"'cluster'; profiles in .*: local") as refusal:
        resolve("cluster", "", "", environment)
    assert refusal.value.hint.endswith("lepton up --name cluster")


def test_without_any_profile_the_hint_is_to_start_the_platform(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none") as refusal:
        resolve("", "", "", {"LEPTON_HOME": str(tmp_path)})
    assert refusal.value.hint.endswith("lepton up")


def test_a_url_borrows_the_ca_of_the_profile_with_that_url_but_not_its_token(environment: dict[str, str]) -> None:
    assert resolve(f"{URL}/", "lepton_mine", "", environment).ca == "/home/ada/ca.pem"
    with pytest.raises(Unauthenticated, match="no token"):
        resolve(URL, "", "", environment)


def test_another_url_trusts_the_systems_roots(environment: dict[str, str]) -> None:
    assert resolve("https://lepton.example.org", "t", "", environment).ca == ""


@pytest.mark.parametrize("url", ["http://10.0.0.1", "ftp://a", "https://", "https://ada:pw@host", "https://a/?token=x"])
def test_a_url_that_would_leak_or_lead_nowhere_is_refused(url: str, environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="not the URL") as refusal:
        resolve(url, "t", "", environment)
    assert "pw" not in str(refusal.value)


@pytest.mark.parametrize("name", ["../local", "a/b", ".hidden", "a b", "x" * 64])
def test_a_name_that_could_leave_the_folder_is_refused(name: str, environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="neither a URL nor the name"):
        resolve(name, "", "", environment)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_profile_that_others_may_read_is_refused(mode: int, environment: dict[str, str]) -> None:
    path_of(environment).chmod(mode)
    with pytest.raises(InvalidInput, match=f"mode {mode:04o}") as refusal:
        resolve("", "", "", environment)
    assert refusal.value.hint == f"chmod 600 {path_of(environment)}"


def test_a_profile_is_written_for_its_owner_alone_even_over_an_open_one(environment: dict[str, str]) -> None:
    path_of(environment).chmod(0o644)
    written = Profile(URL, 'quo"te\\', "/with ümlaut/🚀")
    path = write_profile(Path(environment["LEPTON_HOME"]), "local", written)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_profile(Path(environment["LEPTON_HOME"]), "local") == written


@pytest.mark.parametrize("text", ["url = ", "url = 3", f'url = "{URL}"\npasword = "x"', 'token = "x"', 'url = "x"'])
def test_a_broken_profile_is_refused_by_name(text: str, environment: dict[str, str]) -> None:
    path_of(environment).write_text(text)
    with pytest.raises(InvalidInput):
        resolve("", "", "", environment)


def test_a_token_with_a_line_end_is_refused_without_being_shown(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="LEPTON_TOKEN") as refusal:
        resolve("", "", "", environment | {"LEPTON_TOKEN": "lepton_x\n"})
    assert "lepton_x" not in str(refusal.value)


def test_no_token_is_shown_by_what_holds_one(environment: dict[str, str]) -> None:
    assert "lepton_local" not in repr(LOCAL) + repr(resolve("", "", "", environment))


@pytest.mark.parametrize("environment_", [{}, {"LEPTON_HOME": ""}, {"LEPTON_HOME": "~/x"}, {"LEPTON_HOME": "x/y"}])
def test_the_client_looks_where_the_core_keeps_its_state(environment_: dict[str, str]) -> None:
    assert home_folder(environment_) == default_home(environment_)


def test_profiles_are_listed_by_name(environment: dict[str, str]) -> None:
    home = Path(environment["LEPTON_HOME"])
    write_profile(home, "cluster", LOCAL)
    assert list_profiles(home) == ("cluster", "local")
