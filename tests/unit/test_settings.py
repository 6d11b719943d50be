"""Settings: environment over file over defaults, and a sentence for whatever is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.settings import Settings, default_home, load_settings


def load(home: Path, config: str = "", **environment: str) -> Settings:
    (home / "config.toml").write_text(config)
    return load_settings({"LEPTON_HOME": str(home), **environment})


def test_without_a_file_or_variables_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings({"LEPTON_HOME": str(tmp_path)})
    assert settings == Settings(home=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/lepton.db"


def test_the_environment_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, "port = 9000\ncpu_reserved = 1\n", LEPTON_PORT="9001")
    assert (settings.port, settings.cpu_reserved, settings.address) == (9001, 1.0, "127.0.0.1")


def test_a_database_of_its_own_replaces_the_one_in_the_folder(tmp_path: Path) -> None:
    url = "postgresql+psycopg://db/lepton"
    assert load(tmp_path, LEPTON_DATABASE=url).database_url == url


def test_the_state_folder_is_in_the_home_folder_unless_it_is_named() -> None:
    assert default_home({}) == Path.home() / ".lepton"
    assert default_home({"LEPTON_HOME": "~/elsewhere"}) == Path.home() / "elsewhere"


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, LEPTON_TOKEN="lepton_x", LEPTON_INSTANCE="here").port == 8443


def test_a_line_that_is_no_setting_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="sets 'prot', which is not a setting") as caught:
        load(tmp_path, "prot = 1\n")
    assert "port" in caught.value.hint


@pytest.mark.parametrize(
    "config",
    ['port = "many"', "port = true", "port = 1.5", "address = 5", "cpu_reserved = []", "port = 70000", "port = -1",
     "cpu_reserved = nan", "cpu_reserved = -1", "memory_reserved_bytes = -1", "body_bytes_max = 0"],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_with_the_file_and_the_field(tmp_path: Path, config: str) -> None:
    with pytest.raises(InvalidInput, match=f"config.toml: {config.split(maxsplit=1)[0]} must be"):
        load(tmp_path, config)


def test_a_variable_that_cannot_be_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="LEPTON_PORT: port must be of type int, not 'many'"):
        load(tmp_path, LEPTON_PORT="many")


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"config.toml is not valid TOML") as caught:
        load(tmp_path, "port: 9000\n")
    assert caught.value.hint == "Mend or remove the file."


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="is not valid TOML"):
        load_settings({"LEPTON_HOME": str(tmp_path)})


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_settings({"LEPTON_HOME": str(tmp_path)})
