"""Traces and figures for the scheduler: README.md has the protocols."""
