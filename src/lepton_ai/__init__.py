"""Lepton AI: the AI cloud that you own."""

__version__ = "0.1.0"
