"""The command provider: what the user's commands are given, and what is said of one that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lepton_ai.backends.node_providers.command import PROVIDER, CommandProvider, check
from lepton_ai.errors import InvalidInput, TimedOut, Unavailable
from lepton_ai.kernel.node_providers import Group, NodeOrder, find_provider

TOKEN = "secret-token-of-the-node"


def group(folder: Path, **settings: str) -> Group:
    """A cloud that is a folder: a machine is a file in it."""
    commands = {
        "create": f'cat > "{folder}/$LEPTON_NODE"',
        "delete": f'rm -f "{folder}/$LEPTON_NODE"',
        "list": f'ls "{folder}"',
    }
    return Group("gpus", "abc123", {**commands, **settings})


def order(about: Group, name: str = "gpus-0a1b2c") -> NodeOrder:
    return NodeOrder(about, name, "https://core:8443", {"site": "a b", "price": "2"}, TOKEN)


def test_create_gets_the_script_that_joins_and_delete_and_list_tell_of_what_is_there(tmp_path: Path) -> None:
    provider, about = CommandProvider(tmp_path), group(tmp_path)
    provider.create(order(about))
    script = (tmp_path / "gpus-0a1b2c").read_text()
    assert f"export LEPTON_JOIN_TOKEN={TOKEN}" in script
    assert "join https://core:8443 --name gpus-0a1b2c --label price=2 --label 'site=a b'" in script
    (tmp_path / "someone-elses").touch()
    assert provider.list(about) == ["gpus-0a1b2c"]
    provider.delete(about, "gpus-0a1b2c")
    provider.delete(about, "gpus-0a1b2c")
    assert provider.list(about) == []


def test_the_environment_says_what_it_is_about_and_has_nothing_of_the_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEPTON_TOKEN", "the core's own")
    told = tmp_path / "told"
    words = """import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith("LEPTON_")}))"""
    about = group(tmp_path, create=f"python3 -c '{words}' > {told}")
    CommandProvider(tmp_path).create(order(about))
    assert json.loads(told.read_text()) == {
        "LEPTON_NODE": "gpus-0a1b2c",
        "LEPTON_GROUP": "gpus",
        "LEPTON_INSTANCE_ID": "abc123",
        "LEPTON_URL": "https://core:8443",
        "LEPTON_JOIN_TOKEN": TOKEN,
    }


def test_a_command_that_fails_is_told_of_with_the_end_of_its_output_and_without_the_token(tmp_path: Path) -> None:
    about = group(tmp_path, create='echo "quota used up; token was $LEPTON_JOIN_TOKEN" >&2; exit 3')
    with pytest.raises(Unavailable) as failure:
        CommandProvider(tmp_path).create(order(about))
    assert failure.value.message.endswith("exit code 3. It said: quota used up; token was ***")


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    about = group(tmp_path, delete="sleep 600 & echo begun >&2; wait", seconds="1")
    with pytest.raises(TimedOut, match=r"did not end within 1 s\. It said: begun"):
        CommandProvider(tmp_path).delete(about, "gpus-0a1b2c")


def test_a_list_of_what_are_no_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no name of a node"):
        CommandProvider(tmp_path).list(group(tmp_path, list="echo 'Error: not logged in!'"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"create": ""}, "needs the setting 'create'"),
        ({"seconds": "0"}, "no time limit"),
        ({"x": "y"}, "no setting 'x'"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        check(group(tmp_path, **changes).settings)


def test_it_is_installed_and_an_unknown_provider_is_told_the_known_ones() -> None:
    assert find_provider("command") == PROVIDER
    with pytest.raises(InvalidInput) as failure:
        find_provider("azure")
    assert failure.value.hint == "Known: command, kuberay, process."
