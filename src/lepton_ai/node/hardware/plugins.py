"""Loads the detectors that are installed. One that does not load is reported as such, and stops nothing."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from lepton_ai.node.hardware.detector import Detection, Detector, unknown_use
from lepton_ai.node.hardware.probe import Probe
from lepton_ai.types.node import UnprobedDevice

GROUP = "lepton_ai.hardware"


def load_detectors() -> tuple[Detector, ...]:
    """Return the detectors of every installed package, sorted by name."""
    return tuple(load_detector(point) for point in sorted(entry_points(group=GROUP), key=lambda point: point.name))


def load_detector(point: EntryPoint) -> Detector:
    """Return what the entry point names; a detector that reports why, if that cannot be had."""
    try:
        found = point.load()
    except Exception as error:  # A plugin may raise anything while it is imported.
        return _broken(point, f"{type(error).__name__}: {error}")
    if not isinstance(found, Detector):
        return _broken(point, f"{point.value} is a {type(found).__name__}, not a Detector")
    return found


def _broken(point: EntryPoint, why: str) -> Detector:
    line = UnprobedDevice(
        vendor=point.name,
        where=f"detector {point.value}",
        why=f"the detector could not be loaded: {why}",
        hint="Update or uninstall the package that brings it.",
    )

    def report(_probe: Probe) -> Detection:
        return Detection(unprobed=(line,))

    return Detector(point.name, report, unknown_use)
