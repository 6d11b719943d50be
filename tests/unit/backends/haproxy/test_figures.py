"""Reading HAProxy's counters: sums over workers, and a memory that a reload does not wipe out."""

from __future__ import annotations

from lepton_ai.backends.haproxy.figures import Tally, WorkerRows
from lepton_ai.backends.haproxy.socket import old_workers, read_statistics

KEY = ("vision", "digits")
# Columns of HAProxy 2.8's own answer that are read, in its order and with its final comma.
HEADER = "# pxname,svname,qcur,scur,econ,status,weight,lastsess,hrsp_5xx,req_tot,slim,"


def worker(pid: int, *rows: str, is_newest: bool = True) -> WorkerRows:
    return WorkerRows(pid, is_newest, tuple(read_statistics("\n".join([HEADER, *rows, ""]))))


def backend(*, requests: int = 0, failed: int = 0, last: int = -1, queued: int = 0) -> str:
    return f"e.vision.digits,BACKEND,{queued},0,0,UP,1,{last},{failed},{requests},,"


def server(name: str, *, in_flight: int = 0, status: str = "UP", queued: int = 0) -> str:
    return f"e.vision.digits,{name},{queued},{in_flight},0,{status},1,-1,0,0,,"


def test_requests_in_flight_are_counted_per_replica_over_all_workers() -> None:
    new = worker(2, server("r1", in_flight=1), server("r2", in_flight=3), backend())
    old = worker(1, server("r1", in_flight=2), backend(), is_newest=False)
    figures = Tally().add_up([new, old], now=0.0)[KEY]
    assert {name: each.in_flight for name, each in figures.servers.items()} == {"r1": 3, "r2": 3}
    assert figures.in_flight == 6


def test_a_replica_that_only_the_old_worker_knows_still_counts() -> None:
    old = worker(1, server("gone", in_flight=1), backend(), is_newest=False)
    figures = Tally().add_up([worker(2, backend()), old], now=0.0)[KEY]
    assert figures.servers["gone"].in_flight == 1
    assert not figures.servers["gone"].is_up


def test_requests_that_wait_are_told_apart() -> None:
    rows = worker(1, server("activator", in_flight=4), server("r1", queued=1), backend(queued=2))
    figures = Tally().add_up([rows], now=0.0)[KEY]
    assert (figures.waking, figures.queued, figures.in_flight) == (4, 3, 0)
    assert "activator" not in figures.servers


def test_totals_go_on_over_a_reload_and_over_the_end_of_the_old_worker() -> None:
    tally = Tally()
    tally.add_up([worker(1, backend(requests=10, failed=1))], now=0.0)
    both = tally.add_up([worker(2, backend(requests=1)), worker(1, backend(requests=12), is_newest=False)], now=1.0)[
        KEY
    ]
    alone = tally.add_up([worker(2, backend(requests=5))], now=2.0)[KEY]
    assert (both.requests_total, alone.requests_total) == (13, 17)


def test_the_last_request_is_remembered_over_a_reload() -> None:
    tally = Tally()
    tally.add_up([worker(1, backend(last=5))], now=100.0)
    assert tally.add_up([worker(2, backend(last=-1))], now=160.0)[KEY].last_request_seconds_ago == 65.0


def test_an_endpoint_that_was_never_asked_has_no_last_request() -> None:
    assert Tally().add_up([worker(1, backend())], now=9.0)[KEY].last_request_seconds_ago is None


def test_a_removed_endpoint_is_forgotten_even_if_its_name_comes_back() -> None:
    tally = Tally()
    tally.add_up([worker(1, backend(requests=7, last=1))], now=0.0)
    assert tally.add_up([worker(2)], now=1.0) == {}
    fresh = tally.add_up([worker(3, backend())], now=2.0)[KEY]
    assert (fresh.requests_total, fresh.last_request_seconds_ago) == (0, None)


def test_a_replica_is_up_as_the_newest_worker_says() -> None:
    rows = [
        server("up"),
        server("drained", status="DRAIN"),
        server("down", status="DOWN 1/3"),
        server("out", status="MAINT"),
    ]
    figures = Tally().add_up([worker(1, *rows, server("plain", status="no check"), backend())], now=0.0)[KEY]
    assert {name for name, each in figures.servers.items() if each.is_up} == {"up", "drained", "plain"}


def test_the_rows_of_the_core_are_no_endpoint() -> None:
    assert (
        Tally().add_up([worker(1, "core,BACKEND,0,0,0,UP,1,0,0,5,,", "lepton,FRONTEND,,0,,OPEN,,,0,5,,")], now=0.0)
        == {}
    )


def test_old_workers_are_read_from_the_masters_own_words() -> None:
    told = """#<PID>          <type>          <reloads>       <uptime>        <version>
11047           master          1 [failed: 0]   0d00h00m01s     2.8.25-5cf5d0683
# workers
11098           worker          0               0d00h00m00s     2.8.25-5cf5d0683
# old workers
11050           worker          1               0d00h00m09s     2.8.25-5cf5d0683
11051           worker          2               0d00h01m09s     2.8.25-5cf5d0683
# programs

"""
    assert old_workers(told) == (11050, 11051)
    assert old_workers(told.replace("# old workers\n", "")) == ()
