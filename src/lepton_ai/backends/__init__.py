"""Adapters to the world outside: one for each system, and nothing in them decides."""
