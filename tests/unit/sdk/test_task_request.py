"""What a request amounts to."""

from __future__ import annotations

import pickle
import sys
from datetime import timedelta

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.sdk.function_call import read_result
from lepton_ai.sdk.task_request import JobOptions, TaskRequest, prepare, words_of
from lepton_ai.types.job import JobSpec


def double(value: int) -> int:
    return 2 * value


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python train.py --epochs 5", ("python", "train.py", "--epochs", "5")),
        ("echo 'two words'", ("echo", "two words")),
        ("echo --mode=fast", ("echo", "--mode=fast")),
        ("EPOCHS=5 python train.py", ("sh", "-c", "EPOCHS=5 python train.py")),
        ("echo $HOME | wc -l", ("sh", "-c", "echo $HOME | wc -l")),
        ("ls *.py", ("sh", "-c", "ls *.py")),
        (["echo", "$HOME", "a b"], ("echo", "$HOME", "a b")),
    ],
)
def test_a_shell_reads_only_what_needs_one(command: str | list[str], words: tuple[str, ...]) -> None:
    assert words_of(command) == words


def test_amounts_are_taken_as_people_write_them() -> None:
    spec = prepare(
        TaskRequest("true", timeout="1h30m", retries=2, resources={"cpu": 2, "memory": "4GB", "gpu": "24GB..80GB:2"})
    ).spec
    assert (spec.timeout, spec.retries.failed, spec.resources.memory) == (timedelta(minutes=90), 2, 4_000_000_000)
    assert spec.resources.accelerator is not None
    assert (spec.resources.accelerator.count, spec.resources.accelerator.memory_bytes_max) == (2, 80 * 10**9)


def test_what_is_left_out_keeps_the_specs_defaults() -> None:
    assert prepare(TaskRequest(["true"])).spec == JobSpec(command=("true",))


def test_a_function_travels_by_the_digest_of_its_call() -> None:
    prepared = prepare(TaskRequest(function=double, args=(21,)))
    assert prepared.spec.function.startswith("sha256:")
    assert prepared.labels == {"function": "double"}
    assert prepared.call.startswith(b"lepton-call 1 ")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (TaskRequest(), "either a command or a function"),
        (TaskRequest("true", function=double), "either a command or a function"),
        (TaskRequest("true", args=(1,)), "Arguments are for a function"),
        (TaskRequest("echo 'open"), "cannot be read"),
        (TaskRequest("true", replicas=0), "replicas: "),
        (TaskRequest("true", env={"1X": "a"}), "env.1X"),
        (TaskRequest("true", timeout="soon"), "not a duration"),
        (TaskRequest("true", resources={"cpus": 1}), "resources.cpus: is not a field; known: accelerator, cpu, memory"),
        (TaskRequest("true", retries={"fail": 1}), "retries.fail: is not a field; known: exit_codes, failed"),
        (TaskRequest("true", after=["../x"]), "is not a name"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_sent(request_: TaskRequest, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        prepare(request_)
    assert message in refusal.value.message


def test_create_takes_each_option_that_a_request_has() -> None:
    own = {"command", "function", "args", "kwargs"}
    assert set(TaskRequest.__dataclass_fields__) - own == set(JobOptions.__annotations__)


def test_a_result_of_plain_data_is_read_back() -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert read_result(pickle.dumps(("value", python, pickle.dumps(42)))) == 42
