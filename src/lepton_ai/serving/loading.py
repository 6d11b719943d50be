"""Finds and builds the class that `--app module:Class` names, with one sentence for each way that it can fail."""

from __future__ import annotations

import importlib
import logging
import os
import sys

from lepton_ai.errors import InvalidInput, NotFound

_log = logging.getLogger("lepton_ai.serving")


def load_app(reference: str) -> object:
    """Return an object of the class at `reference`; raises InvalidInput or NotFound.

    The working directory comes first on the search path. What the user's own code raises is logged with its
    traceback, since that is what they need to mend it.
    """
    module_name, _, class_name = reference.partition(":")
    if not module_name or not class_name:
        raise InvalidInput(f"{reference!r} names no class.", hint="Write --app module:Class, such as digits:Digits.")
    if sys.path[:1] != [os.getcwd()]:
        sys.path.insert(0, os.getcwd())
    module = _import(module_name)
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type):
        own = sorted(name for name, each in vars(module).items() if _is_own_class(each, module_name))
        raise NotFound(
            f"Module {module_name!r} has no class {class_name!r}.", hint=f"It has: {', '.join(own) or 'no class'}."
        )
    try:
        instance: object = kind()
    except Exception as error:
        _log.error("%s could not be built", reference, exc_info=error)
        raise InvalidInput(
            f"{class_name}() raised {type(error).__name__}: {error}.", hint="The traceback is above."
        ) from error
    return instance


def _import(module_name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(missing + "."):
            raise NotFound(
                f"Module {module_name!r} is not in {os.getcwd()} or among the installed packages.",
                hint="Start in the folder that holds it, or check the name.",
            ) from error
        _log.error("%s could not be imported", module_name, exc_info=error)
        raise InvalidInput(
            f"Module {module_name!r} imports {missing!r}, which is not installed.", hint="Add it to requirements."
        ) from error
    except Exception as error:
        _log.error("%s could not be imported", module_name, exc_info=error)
        raise InvalidInput(
            f"Importing {module_name!r} raised {type(error).__name__}: {error}.", hint="The traceback is above."
        ) from error


def _is_own_class(value: object, module_name: str) -> bool:
    return isinstance(value, type) and value.__module__ == module_name
