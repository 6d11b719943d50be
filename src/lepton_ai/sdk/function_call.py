"""Send a Python function with its arguments to a replica, and read what came back."""

from __future__ import annotations

import pickle
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import cloudpickle

from lepton_ai.errors import InvalidInput, JobFailed, TooLarge
from lepton_ai.types.quantity import format_bytes

CALL_BYTES_MAX = 64 * 1024 * 1024
_MAGIC = "lepton-call 1"  # `node/function_runner.py` reads this line before it unpickles anything.


def pack_call(function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> bytes:
    """Return the call as bytes for `lepton_ai.node.function_runner`.

    Functions and classes of `__main__` and of modules that are not installed travel by value, so the replica needs
    neither the file nor the notebook that they come from. Raises InvalidInput for what cannot be pickled, TooLarge.
    """
    if not callable(function):
        raise InvalidInput(f"{function!r} cannot be called.", hint="Give a function.")
    with _local_modules_by_value():
        content = _pickle(function, tuple(args), dict(kwargs))
    if len(content) > CALL_BYTES_MAX:
        raise TooLarge(
            f"The call and its arguments take {format_bytes(len(content))} of {format_bytes(CALL_BYTES_MAX)} allowed.",
            hint="Pass the name of a file or a bucket instead of the data.",
        )
    return f"{_MAGIC} {_python()}\n".encode() + content


def read_result(payload: bytes) -> object:
    """Return the value that the function returned in the replica.

    Raises JobFailed with the remote traceback if it raised, or if its value cannot be read here. The payload is
    unpickled, so it is as trustworthy as whoever may submit jobs in the project.
    """
    try:
        kind, python, content = pickle.loads(payload)  # noqa: S301
    except Exception as error:
        raise JobFailed("The result cannot be read: it is cut or altered.", hint="Run the job again.") from error
    if kind == "error":
        raise JobFailed(
            f"The function raised {content['type']}: {content['message']}\n\n{content['traceback']}",
            hint="The log has what it printed before.",
        )
    if python != _python():
        raise JobFailed(
            f"The result was made by Python {python}; this is {_python()}.", hint=f"Read it from Python {python}."
        )
    try:
        return pickle.loads(content)  # noqa: S301
    except Exception as error:
        raise JobFailed(
            f"The function ended well, but its value cannot be read here: {type(error).__name__}: {error}.",
            hint="Install what it needs here too, or return plain data.",
        ) from error


def _pickle(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> bytes:
    try:
        content: bytes = cloudpickle.dumps((function, args, kwargs))
    except Exception as error:
        culprit = _first_unpicklable(function, args, kwargs)
        raise InvalidInput(
            f"{culprit} cannot be sent to another process: {error}.",
            hint="Open files, locks and connections inside the function, and pass plain data.",
        ) from error
    return content


def _first_unpicklable(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    named: list[tuple[str, object]] = [(f"Argument {index + 1}", value) for index, value in enumerate(args)]
    named += [(f"Argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        try:
            cloudpickle.dumps(value)
        except Exception:
            return f"{name} of type {type(value).__qualname__}"
    return f"The function {getattr(function, '__qualname__', repr(function))} with what it refers to"


@contextmanager
def _local_modules_by_value() -> Iterator[None]:
    """While this holds, cloudpickle sends what belongs to local modules by value instead of by name."""
    known = cloudpickle.list_registry_pickle_by_value()
    added = [module for name, module in list(sys.modules.items()) if name not in known and _is_local(module)]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


def _installed_folders() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    paths.add(str(Path(__file__).parent.parent))  # Lepton AI itself, which a developer runs from its checkout.
    return tuple(f"{path}/" for path in paths if path)


def _is_local(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    is_source = isinstance(file, str) and file.endswith(".py") and module.__name__ != "__main__"
    return is_source and sys.modules.get(module.__name__) is module and not str(file).startswith(_installed_folders())


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
