"""The one connection to Ray: nodes, agents, objects. Ray's errors are translated here, once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray._private.state import available_resources_per_node, total_resources_per_node
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from lepton_ai.backends.ray_runtime.address import RayAddress
from lepton_ai.backends.ray_runtime.agent import NodeAgent
from lepton_ai.backends.ray_runtime.amounts import NODE_LABEL
from lepton_ai.errors import LeptonError, Unavailable

NAMESPACE = "lepton"
CALL_SECONDS = 10.0  # a round trip takes 1 ms; a node that needs longer than this is as good as gone
# Of one agent at a time: a look that waits for each core there is or was lately, the launcher's, readers of logs.
AGENT_THREADS = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RayNode:
    """A living raylet that carries our label."""

    name: str
    ray_id: str
    address: str


@dataclass(frozen=True, slots=True)
class Count:
    """What Ray says that a node has in all, and how much of it is free."""

    total: Mapping[str, float]
    free: Mapping[str, float]


class Connection:
    """This process as one of Ray's drivers. There can be only one in a process; raises Unavailable."""

    def __init__(self, where: RayAddress, log_bytes_max: int) -> None:
        self._log_bytes_max = log_bytes_max
        with translated(f"Ray at {where.address}"):
            # Its own log handlers and the output of foreign workers are not the core's business.
            ray.init(address=where.address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
            own = ray.get_runtime_context().get_node_id()
            self.own_node = next((name for name, node in self.nodes().items() if node.ray_id == own), "")

    def nodes(self) -> Mapping[str, RayNode]:
        """Return the living nodes by name."""
        found: dict[str, RayNode] = {}
        with translated("Ray"):
            for node in ray.nodes():
                name = node["Labels"].get(NODE_LABEL, "")
                if not name or not node["Alive"]:
                    continue
                if name in found:
                    _log.warning("two nodes have one name; the second is left out", extra={"node": name})
                    continue
                found[name] = RayNode(name, node["NodeID"], node["NodeManagerAddress"])
        return found

    def counts(self) -> Mapping[str, Count]:
        """Return Ray's own books, by Ray's id of the node."""
        with translated("Ray"):
            totals, frees = total_resources_per_node(), available_resources_per_node()
        return {ray_id: Count(total, frees.get(ray_id, {})) for ray_id, total in totals.items()}

    def agent(self, name: str) -> ActorHandle[NodeAgent]:
        """Return the agent of a node, started if there is none. Does not wait for it.

        It is bound to the label, not to the raylet: when a machine comes back, Ray starts its agent there again.
        """
        options = {
            "name": f"node:{name}",
            "namespace": NAMESPACE,
            "lifetime": "detached",
            "get_if_exists": True,
            "label_selector": {NODE_LABEL: name},
            "num_cpus": 0,
            "max_restarts": -1,
            "max_concurrency": AGENT_THREADS,
        }
        with translated(f"Node {name}"):
            handle: ActorHandle[NodeAgent] = ray.remote(NodeAgent).options(**options).remote(name, self._log_bytes_max)
        return handle

    def get(self, reference: Any, about: str, seconds: float = CALL_SECONDS) -> Any:
        """Return what a call gave; raises what the agent raised, or Unavailable."""
        with translated(about):
            return ray.get(reference, timeout=seconds)

    def ready(self, references: Collection[Any], seconds: float) -> Sequence[Any]:
        """Wait until one of the calls is over, at most `seconds`; return those that are."""
        waiting = list(references)
        with translated("Ray"):
            done, _ = ray.wait(waiting, num_returns=1, timeout=seconds, fetch_local=False)
            if done:
                done, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
        return list(done)

    def put(self, content: bytes) -> Any:
        """Give a blob to Ray, which carries it to whichever node asks; it lives as long as the reference."""
        with translated("Ray's object store"):
            return ray.put(content)

    def close(self) -> None:
        """Leave; agents, groups and replicas stay."""
        ray.shutdown()


@contextlib.contextmanager
def translated(about: str) -> Iterator[None]:
    """Turn whatever Ray raises into our own errors; what an agent raised comes out as it was."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, LeptonError):
            raise error.cause from None
        raise Unavailable(f"{about} failed: {type(error.cause).__name__}: {error.cause}.") from error
    except GetTimeoutError as error:
        raise Unavailable(f"{about} did not answer in time.", hint="It is tried again.") from error
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0][:300]
        raise Unavailable(
            f"{about} does not answer: {first or type(error).__name__}", hint="It is tried again."
        ) from error
