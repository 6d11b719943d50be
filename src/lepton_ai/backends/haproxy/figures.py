"""What HAProxy counts, per endpoint: a pure reading of `show stat`, and the memory that a reload would wipe out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lepton_ai.types.data_plane import ACTIVATOR, EndpointFigures, ServerFigures

Row = Mapping[str, str]
EndpointKey = tuple[str, str]  # project, name


@dataclass(frozen=True, slots=True)
class WorkerRows:
    """One worker's `show stat`. Only the newest one knows which servers are up."""

    pid: int
    is_newest: bool
    rows: tuple[Row, ...]


_TOTALS = {"requests_total": "req_tot", "errors_total": "hrsp_5xx", "connection_errors_total": "econ"}
_ENDED = 0  # no process has this id


class Tally:
    """Adds up the workers. A reload starts the counters of HAProxy at zero; these go on."""

    def __init__(self) -> None:
        self._totals: dict[tuple[EndpointKey, str], dict[int, int]] = defaultdict(dict)
        self._last_request: dict[EndpointKey, float] = {}

    def add_up(self, workers: Iterable[WorkerRows], now: float) -> dict[EndpointKey, EndpointFigures]:
        """Return the figures of every endpoint that the newest worker serves; `now` is monotonic, in seconds."""
        readings = list(workers)
        by_endpoint: dict[EndpointKey, list[tuple[WorkerRows, Row]]] = defaultdict(list)
        for worker in readings:
            for row in worker.rows:
                key = _key(row)
                if key is not None:
                    by_endpoint[key].append((worker, row))
        current = {_key(row) for worker in readings if worker.is_newest for row in worker.rows}
        self._forget({key for key in current if key is not None}, {worker.pid for worker in readings})
        return {key: self._figures(key, rows, now) for key, rows in by_endpoint.items() if key in current}

    def _figures(self, key: EndpointKey, rows: list[tuple[WorkerRows, Row]], now: float) -> EndpointFigures:
        totals = [(worker, row) for worker, row in rows if row["svname"] == "BACKEND"]
        for worker, row in totals:
            if (idle := row["lastsess"]) not in ("", "-1"):
                self._last_request[key] = max(self._last_request.get(key, 0.0), now - int(idle))
            for name, column in _TOTALS.items():
                self._totals[key, name][worker.pid] = _int(row[column])
        last = self._last_request.get(key)
        counted = {name: sum(self._totals[key, name].values()) for name in _TOTALS}
        servers = _servers(rows)
        return EndpointFigures(
            in_flight=sum(server.in_flight for server in servers.values()),
            queued=sum(_int(row["qcur"]) for _, row in rows),
            waking=sum(_int(row["scur"]) for _, row in rows if row["svname"] == ACTIVATOR),
            last_request_seconds_ago=None if last is None else max(0.0, now - last),
            servers=servers,
            **counted,
        )

    def _forget(self, current: set[EndpointKey], pids: set[int]) -> None:
        self._last_request = {key: moment for key, moment in self._last_request.items() if key in current}
        for known in [known for known in self._totals if known[0] not in current]:
            del self._totals[known]
        for counts in self._totals.values():
            # Workers that have ended are added up, or the table would grow with each reload.
            ended = [pid for pid in counts if pid not in pids and pid != _ENDED]
            counts[_ENDED] = counts.get(_ENDED, 0) + sum(counts.pop(pid) for pid in ended)


def _servers(rows: list[tuple[WorkerRows, Row]]) -> dict[str, ServerFigures]:
    in_flight: dict[str, int] = defaultdict(int)
    is_up: dict[str, bool] = defaultdict(bool)
    for worker, row in rows:
        name = row["svname"]
        if name not in (ACTIVATOR, "BACKEND"):
            in_flight[name] += _int(row["scur"])
            is_up[name] |= worker.is_newest and row["status"].startswith(("UP", "DRAIN", "no check"))
    return {name: ServerFigures(in_flight[name], is_up[name]) for name in in_flight}


def _key(row: Row) -> EndpointKey | None:
    parts = row["pxname"].split(".")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "e" else None


def _int(text: str) -> int:
    return int(text) if text else 0
