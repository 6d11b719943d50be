"""Checkpoints of tasks: seen on the nodes, kept sealed in the store, given to the next attempt."""
