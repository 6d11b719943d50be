"""The runtime of this machine: supervised process groups, no daemon, no container engine."""

from lepton_ai.backends.local_runtime.preparation import Prepare
from lepton_ai.backends.local_runtime.runtime import LocalNode, LocalRuntime

__all__ = ["LocalNode", "LocalRuntime", "Prepare"]
