"""Opens the cluster on the core's machine: finds its address, makes its certificates, has Ray's head running."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from lepton_ai.backends.blobs import BlobStore
from lepton_ai.backends.certificates import ensure_certificates
from lepton_ai.backends.home import Home
from lepton_ai.backends.ray_cluster.addresses import own_address
from lepton_ai.backends.ray_cluster.head import ClusterHead, HeadMachine, Trust
from lepton_ai.backends.ray_cluster.head_store import open_store
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.process import check_installed
from lepton_ai.backends.ray_runtime.address import RayAddress
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.kernel.roster import Roster
from lepton_ai.kernel.store import Store
from lepton_ai.node.hardware import detect_hardware
from lepton_ai.settings import Settings
from lepton_ai.types.membership import Member
from lepton_ai.types.resources import Allocation

if TYPE_CHECKING:
    from lepton_ai.backends.ray_runtime.runtime import RayRuntime

_log = logging.getLogger(__name__)


def open_head(settings: Settings, home: Home, store: Store) -> ClusterHead:
    """Return the head of the cluster, with Ray running; raises Unavailable, TimedOut or Forbidden if it cannot."""
    clock = SystemClock()
    address = own_address(settings.cluster_address)
    tls = ensure_certificates(home.tls, [settings.address], clock.now())
    machine = HeadMachine(home.node_name(), address, settings.cluster_port, detect_hardware(home=settings.home))
    roster = Roster(machine.name, lambda: [member.name for member in store.all_live(Member)])
    place = ClusterPlace(settings.home)
    kept = open_store(settings.cluster_store, settings.cluster_store_ca, place, f"lepton-{machine.name}")
    cluster = ClusterHead(place, machine, Trust(home.tls, tls.server_pem, clock), kept, roster)
    cluster.begin(_start_anew)
    return cluster


def open_ray(
    settings: Settings, home: Home, held: Callable[[], Collection[Allocation]], cluster: ClusterHead | None
) -> RayRuntime:
    """Return the runtime of our own cluster, or of that at `ray_address`, which our environment lets us enter."""
    check_installed()
    where, belongs = RayAddress(settings.ray_address), lambda _name: True
    if cluster is not None:
        where = RayAddress(cluster.head, ClusterPlace(settings.home).ray_environment())
        belongs = cluster.roster.has
    where.enter()  # before Ray is imported, which reads its environment once
    from lepton_ai.backends.ray_runtime.runtime import RayRuntime  # 0.3 s that only a cluster costs

    return RayRuntime(where, BlobStore(home.blobs).open, held, log_bytes_max=settings.log_bytes_max, belongs=belongs)


def _start_anew() -> None:
    """Become a new core in the same process, as if this one had been killed and started; work runs on."""
    _log.warning("core_starts_anew")
    os.execv(sys.executable, [sys.executable, "-m", "lepton_ai.app"])  # noqa: S606 - no shell is wanted
