"""Lepton AI: the AI cloud that you own."""

import importlib

from lepton_ai.version import VERSION

__version__ = VERSION

# Each name is imported when it is first used, so that `import lepton_ai` costs next to nothing. The modules are named
# by strings, since an import statement here would make every module of this package depend on the SDK. Type checkers
# read `__init__.pyi` instead.
_HOMES = {
    "AllocationPlan": "types.allocation_plan",
    "Conflict": "errors",
    "Endpoint": "types.endpoint",
    "EndpointHandle": "sdk.endpoint_handle",
    "Forbidden": "errors",
    "IntegrityFailed": "errors",
    "InvalidInput": "errors",
    "Job": "types.job",
    "JobFailed": "errors",
    "JobHandle": "sdk.job_handle",
    "JobState": "types.job",
    "LeptonAI": "sdk.client",
    "LeptonError": "errors",
    "LogLine": "sdk.logs",
    "NotFound": "errors",
    "QuotaExceeded": "errors",
    "RemoteFunction": "sdk.function",
    "ResourceChoice": "types.resource_view",
    "Resources": "types.resources",
    "Retries": "types.job",
    "TaskRequest": "sdk.task_request",
    "TimedOut": "errors",
    "TooLarge": "errors",
    "Unauthenticated": "errors",
    "Unavailable": "errors",
    "handler": "serving.app",
}

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605 - the table above is the one list of names


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
