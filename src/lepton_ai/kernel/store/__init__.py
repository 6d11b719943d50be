"""Versioned objects, events and audit records in one database, changed in one transaction."""

from lepton_ai.kernel.store.store import Store

__all__ = ["Store"]
