"""Versioned objects, events and audit records in one database, changed in one transaction."""

from lepton_ai.kernel.store.change import Change, Committed, Note, Seen, Verb, create, delete, update
from lepton_ai.kernel.store.store import Store

__all__ = ["Change", "Committed", "Note", "Seen", "Store", "Verb", "create", "delete", "update"]
