"""The seeded simulation over many seeds. A seed that fails prints the command that replays it."""

from __future__ import annotations

import pytest

from lepton_ai.testing.simulation import run_seeds

CHUNKS = 25
CHUNK_SEEDS = 20  # 25 x 20 = 500 seeds, some 0.2 s each; small chunks, so that worker processes share them evenly


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_goes_wrong_everything_comes_right_in_the_end(chunk: int) -> None:
    failures = run_seeds(range(chunk * CHUNK_SEEDS, (chunk + 1) * CHUNK_SEEDS))
    assert not failures, "\n\n".join(failures)
