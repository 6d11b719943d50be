"""The outside systems of a core, as its settings name them: what runs replicas, keeps objects and opens the door."""

from __future__ import annotations

from collections.abc import Callable, Collection

from lepton_ai.backends.blobs import BlobStore
from lepton_ai.backends.certificates import ensure_certificates
from lepton_ai.backends.haproxy.desired import DataPlane, Peer
from lepton_ai.backends.haproxy.door import HaproxyDoor
from lepton_ai.backends.haproxy.place import socket_folder
from lepton_ai.backends.haproxy.plane import HaproxyPlane
from lepton_ai.backends.home import Home
from lepton_ai.backends.local_runtime import LocalNode, LocalRuntime
from lepton_ai.backends.object_stores.local import LocalStores
from lepton_ai.backends.object_stores.seaweed.stores import SeaweedStores
from lepton_ai.backends.ray_cluster.head import ClusterHead
from lepton_ai.backends.ray_cluster.opening import open_ray
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.kernel.fencing import OwnRuntime
from lepton_ai.kernel.object_stores import ObjectStores
from lepton_ai.node.bundle import BundleCache
from lepton_ai.node.environment import EnvironmentCache
from lepton_ai.node.hardware import UseSampler, detect_hardware
from lepton_ai.node.preparation import Preparer
from lepton_ai.node.steady_use import SteadyUse
from lepton_ai.settings import Settings
from lepton_ai.types.resources import Allocation

Held = Callable[[], Collection[Allocation]]  # what tasks hold now


def build_runtime(settings: Settings, home: Home, held: Held, cluster: ClusterHead | None) -> OwnRuntime:
    if cluster is not None or settings.ray_address:
        return open_ray(settings, home, held, cluster)
    hardware = detect_hardware(home=settings.home)
    sampler = SteadyUse(UseSampler(hardware))
    blobs = BlobStore(home.blobs)
    preparer = Preparer(blobs.open, BundleCache(home.bundles, blobs.open), EnvironmentCache(home.environments))
    node = LocalNode(home.node_name(), hardware, sampler.sample)
    return LocalRuntime(home.runtime, node, prepare=preparer.prepare, log_bytes_max=settings.log_bytes_max)


def build_stores(settings: Settings, home: Home, clock: SystemClock) -> ObjectStores:
    if settings.storage == "local":
        return LocalStores(home.objects)
    if settings.storage == "seaweedfs":
        return SeaweedStores(home.seaweed, socket_folder(settings.home), clock)
    raise InvalidInput(
        f"storage must be local or seaweedfs, not {settings.storage[:80]!r}.", hint="See: docs/concepts/bucket.md"
    )


def build_door(settings: Settings, home: Home, clock: SystemClock) -> HaproxyDoor:
    tls = ensure_certificates(home.tls, [settings.address], clock.now())
    plane = HaproxyPlane(settings.home)
    port = settings.port or home.kept_port()
    sockets, place = socket_folder(settings.home), ClusterPlace(settings.home)
    base = DataPlane(
        address=settings.address,
        port=port,
        server_pem=tls.server_pem,
        core_socket=sockets / "core.sock",
        peer=Peer(place.certificate, place.authority) if settings.cluster_address else None,
    )
    return HaproxyDoor(plane, base)
