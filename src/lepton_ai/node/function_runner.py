"""Run one pickled function inside a replica: `python -m lepton_ai.node.function_runner CALL_FILE RESULT_FILE`.

It imports the standard library and cloudpickle alone, so that no requirement of the user can break it.

The call file is one line, `lepton-call 1 3.11`, and a cloudpickle of (function, args, kwargs). The result file is a
pickle of plain values only: ("value", python, pickle of the value) or ("error", python, summary).
"""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import sys
import traceback
from pathlib import Path

import cloudpickle

# The node keeps results of up to 64 MiB (`replica_folder`), the few bytes around the value included.
RESULT_BYTES_MAX = 63 * 1024 * 1024
CALL_MAGIC = b"lepton-call 1 "
TRACEBACK_LENGTH_MAX = 100_000


def main(arguments: list[str]) -> int:
    """Run the call and write its result; returns the exit code: 0, 1 when it failed, or the function's own."""
    if len(arguments) != 2:
        print("usage: python -m lepton_ai.node.function_runner CALL_FILE RESULT_FILE", file=sys.stderr)
        return 2
    call_file, result_file = (Path(argument) for argument in arguments)
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # The working directory's own modules, as for `python train.py`.
    try:
        value = _call(call_file.read_bytes())
        result = ("value", _python(), _pickled(value))
    except SystemExit as error:
        if error.code in (None, 0):
            error = SystemExit("The function called sys.exit() instead of returning a value.")
        _write(result_file, ("error", _python(), _summary(error)))
        raise error
    except BaseException as error:
        summary = _summary(error)
        print(summary["traceback"], file=sys.stderr, end="", flush=True)
        _write(result_file, ("error", _python(), summary))
        return 1
    _write(result_file, result)
    return 0


class RunnerError(Exception):
    """The call cannot be run or its result cannot be sent; the text says why and what to do."""


def _call(content: bytes) -> object:
    header, _, pickled = content.partition(b"\n")
    if not header.startswith(CALL_MAGIC):
        raise RunnerError("The call file does not hold a call that this version of Lepton AI understands.")
    python = header.removeprefix(CALL_MAGIC).decode(errors="replace")
    if python != _python():
        raise RunnerError(
            f"The function was packed by Python {python}, but this node runs {_python()}, and pickled code cannot be "
            f"carried between them. Submit it from Python {_python()}, or submit a command instead."
        )
    function, args, kwargs = pickle.loads(pickled)  # noqa: S301 - running the owner's code is this program's purpose
    value = function(*args, **kwargs)
    if inspect.isawaitable(value):
        return asyncio.run(_wait_for(value))
    return value


async def _wait_for(value: object) -> object:
    assert inspect.isawaitable(value)
    result: object = await value
    return result


def _pickled(value: object) -> bytes:
    try:
        content: bytes = cloudpickle.dumps(value)
    except Exception as error:
        raise RunnerError(
            f"The function ended well, but its value of type {type(value).__qualname__} cannot be sent back: {error}. "
            "Return plain data, or write a file."
        ) from error
    if len(content) > RESULT_BYTES_MAX:
        raise RunnerError(
            f"The function ended well, but its value takes {len(content):,} bytes; {RESULT_BYTES_MAX:,} can be sent "
            "back. Write it to a file and return its name."
        )
    return content


def _summary(error: BaseException) -> dict[str, str]:
    """Describe the error as text; the frames of this file say nothing to the owner and are left out."""
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    if isinstance(error, RunnerError):
        return {"type": "RunnerError", "message": str(error), "traceback": f"{error}\n"}
    frame = error.__traceback__
    while frame and frame.tb_frame.f_code.co_filename == __file__:
        frame = frame.tb_next
    text = "".join(traceback.format_exception(kind, error, frame))
    return {"type": name, "message": _text(error), "traceback": text[-TRACEBACK_LENGTH_MAX:]}


def _text(error: BaseException) -> str:
    try:
        return str(error)[:TRACEBACK_LENGTH_MAX]
    except Exception:
        return "(its text cannot be had)"


def _write(path: Path, result: tuple[str, str, bytes | dict[str, str]]) -> None:
    """Write so that the file is there whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        pickle.dump(result, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
