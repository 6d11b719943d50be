"""Readers of recorded work: one file for each format, each error with file, line and column."""
