"""Replays of recorded work with the live scheduler's own code and a virtual clock: what happened, and what if."""
