"""The REST API: one set of verbs for every kind, one table of permissions, problems as RFC 9457 has them."""
