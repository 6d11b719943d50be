"""What a machine is made of and what it does now: detection, and the contract of the detectors behind it."""

from lepton_ai.node.hardware.detect import detect_hardware
from lepton_ai.node.hardware.detector import Detection, Detector, unknown_use, unprobed
from lepton_ai.node.hardware.plugins import load_detectors
from lepton_ai.node.hardware.probe import Probe, ProbeFailed, SystemProbe
from lepton_ai.node.hardware.use import UseSampler

__all__ = [
    "Detection",
    "Detector",
    "Probe",
    "ProbeFailed",
    "SystemProbe",
    "UseSampler",
    "detect_hardware",
    "load_detectors",
    "unknown_use",
    "unprobed",
]
