"""Counts of what a replica did, and their Prometheus text exposition (format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Histogram:
    """How often values fell at or below each bound, with their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        below = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {below}'
        yield f"{name}_sum{{{labels}}} {self.total:.9g}"
        yield f"{name}_count{{{labels}}} {below}"


class Metrics:
    """One replica's counts. All calls come from the event loop's thread, so nothing is locked."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._seconds: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._items: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(ITEMS))

    def answered(self, name: str, status: int, seconds: float) -> None:
        """Count one answer; 499 stands for a caller who went away."""
        self._requests[name, status] += 1
        self._seconds[name].observe(seconds)

    def batched(self, name: str, items: int) -> None:
        """Count one batch of `items`."""
        self._items[name].observe(items)

    def expose(self) -> bytes:
        """Return everything as text. Handler names are Python identifiers, so labels need no escaping."""
        lines = ["# TYPE lepton_serving_requests_total counter"]
        for (name, status), count in sorted(self._requests.items()):
            lines.append(f'lepton_serving_requests_total{{handler="{name}",status="{status}"}} {count}')
        for metric, histograms in (
            ("lepton_serving_request_seconds", self._seconds),
            ("lepton_serving_batch_items", self._items),
        ):
            lines.append(f"# TYPE {metric} histogram")
            for name, histogram in sorted(histograms.items()):
                lines.extend(histogram.lines(metric, f'handler="{name}"'))
        return ("\n".join(lines) + "\n").encode()
