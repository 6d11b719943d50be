"""What the whole suite shares: a gate that gives the same answer each time, and a search that does not."""

from __future__ import annotations

from hypothesis import settings

# `make test` looks at the same examples each time, and so tells of the change at hand; `make fuzz` looks for new ones.
settings.register_profile("gate", derandomize=True)
settings.register_profile("fuzz", derandomize=False, print_blob=True)
settings.load_profile("gate")
