"""Nouns on the wire: frozen models without I/O, shared by the server, the SDK and the CLI."""
