"""`lepton profile`: what it tells the platform of a probe, and the table that it prints."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lepton_ai.types.probe import REPORT_MARK
from tests.unit.cli.program import JOBS, run
from tests.unit.sdk.fake_platform import FakePlatform, event, job, log, ok, plain, stream

PROJECT, ONE = "/api/v1/projects/default", f"{JOBS}/job-1"
REPORT = {"unit": "run", "seconds_per_unit": 3.0, "units": 1, "seconds": 3.0, "is_whole": True}
CHOICE = {
    "resource_class": "cpu-avx2", "nodes": ["vm"], "expected_seconds": 3.0, "p80_seconds": 4.0, "source": "measured",
    "is_free_now": True, "speed_source": "measured",
}  # fmt: skip


def _answering(platform: FakePlatform, report: Mapping[str, object], **money: float) -> FakePlatform:
    """Let a probe report that, on a class at that price."""
    told = log(f"{REPORT_MARK}{json.dumps(report)}")
    platform.on("POST", f"{PROJECT}/optimal-resource", ok({"items": [CHOICE | money]}))
    platform.on("POST", f"{PROJECT}/profile", plain(204)).on("POST", JOBS, ok(job(), 201))
    platform.on("GET", ONE, ok(job("succeeded"))).on("GET", f"{JOBS}/watch", stream(": ping\n\n"))
    platform.on("GET", f"{ONE}/logs", stream(told, event("end", {"state": "succeeded"})))
    explained = {"task_id": "t", "standing": "ended", "reason": {"code": "x", "sentence": "x"}}
    return platform.on("GET", f"{ONE}/explain", ok(explained | {"resource_class": "cpu-avx2"}))


def profiled(platform: FakePlatform, **money: float) -> str:
    """Profile a command that ends within its probe, on a class at that price; return what was printed."""
    result = run(_answering(platform, REPORT, **money), "profile", "--workdir", "none", "--", "sleep", "3")
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_how_long_a_program_took_that_ended_is_told_to_the_platform(platform: FakePlatform) -> None:
    profiled(platform)
    (told,) = platform.bodies("POST", f"{PROJECT}/profile")
    assert (told["unit"], told["seconds_per_unit"], told["whole_seconds"]) == ("run", 3.0, 3.0)


def test_price_and_cost_stand_in_the_table_where_they_are_known(platform: FakePlatform) -> None:
    assert "EXPECTED PRICE/H COST BECAUSE" in profiled(platform, price_per_hour=1.8, expected_cost=0.0015)
    assert "3.0s 1.8 0.0015" in profiled(platform, price_per_hour=1.8, expected_cost=0.0015)
    assert "PRICE/H" not in profiled(platform)


def test_a_program_that_failed_is_not_told_to_take_more_time(platform: FakePlatform) -> None:
    failed = {"exit_code": 1, "problem": "The program ended with exit code 1."}
    result = run(_answering(platform, failed), "profile", "--workdir", "none", "--", "false")
    assert (result.exit_code, "lepton logs" in result.output, "more time" in result.output) == (1, True, False)


def test_a_program_that_did_not_end_is_given_more_time(platform: FakePlatform) -> None:
    result = run(_answering(platform, {"problem": "It did not end."}), "profile", "--workdir", "none", "--", "true")
    assert (result.exit_code, "more time (--seconds)" in result.output) == (1, True)
