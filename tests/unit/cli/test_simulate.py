"""`lepton simulate`: what it reads, what it asks of the platform, and what it prints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lepton_ai.kernel.clock import SystemClock
from lepton_ai.testing.machines import machine
from tests.unit.cli.program import printed, run
from tests.unit.sdk.fake_platform import FakePlatform, failing, ok, page
from tests.unit.simulation.test_readers import SACCT

TRACE = "submit_s,duration_s,num_gpus\n" + "".join(f"{60 * number},3600,8\n" for number in range(4)) + "5,0,1\n"
TASKS = "/api/v1/projects/default/tasks"


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "week.csv"
    path.write_text(TRACE)
    return str(path)


def words(result: Any) -> str:
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def node(name: str = "vm", price: str = "") -> dict[str, Any]:
    hardware = machine(name, threads=8, memory_gb=16, devices=2).hardware.model_dump(mode="json")
    labels = {"price": price} if price else {}
    return {
        "kind": "node",
        "metadata": {"id": f"node-{name}", "name": name, "project": "platform", "version": 1, "labels": labels},
        "spec": {},
        "status": {"hardware": hardware},
    }


def project(name: str = "default") -> dict[str, Any]:
    return {
        "kind": "project",
        "metadata": {"id": f"project-{name}", "name": name, "version": 1},
        "spec": {},
        "status": {},
    }


def task(name: str, hours_ago: float, hours: float) -> dict[str, Any]:
    """A task on one device that started at once."""
    began = SystemClock().now().astimezone(UTC) - timedelta(hours=hours_ago)

    def written(moment: datetime) -> str:
        return moment.isoformat()

    return {
        "kind": "task",
        "metadata": {"id": name, "name": name, "project": "default", "version": 1, "created_at": written(began)},
        "spec": {
            "owner_kind": "job", "owner_name": name, "task_kind": "ada/train.py/1", "program": {"command": ["true"]},
            "resources": {"cpu": 1, "memory": "1GB", "accelerator": "h100:1"},
        },
        "status": {
            "state": "finished", "submitted_at": written(began), "started_at": written(began),
            "finished_at": written(began + timedelta(hours=hours)),
        },
    }  # fmt: skip


def test_a_trace_is_replayed_on_the_nodes_that_are_named(platform: FakePlatform, trace: str) -> None:
    shown = words(run(platform, "simulate", "--trace", trace, "--nodes", "1xh100"))
    assert "4 tasks of week.csv (philly), 3m00s of arrivals Skipped: 1 no positive duration" in shown
    # They run one after the other: the second waits 59 minutes, the third 118, the last 177.
    assert "Wait, mean 1h28m" in shown
    assert "Until the last end 4h00m" in shown
    assert "5-8 devices 4 1h28m" in shown
    assert platform.requests == []


def test_what_if_stands_beside_what_was(platform: FakePlatform, trace: str) -> None:
    shown = words(run(platform, "simulate", "--trace", trace, "--nodes", "1xh100", "--add-nodes", "1xh100"))
    assert "AS IT WAS WHAT IF CHANGE Nodes 1 2 +100%" in shown
    assert "Until the last end 4h00m 2h01m" in shown


def test_a_gantt_picture_shows_who_waits_and_who_runs(platform: FakePlatform, trace: str) -> None:
    lines = run(platform, "simulate", "--trace", trace, "--nodes", "1xh100").stdout.splitlines()
    bars = [line.split()[1] for line in lines if line.startswith("task-")]
    assert bars[0].startswith("█")
    assert [bar.count("·") < bar.count("█") * number for number, bar in enumerate(bars, start=0)][1:] == [True] * 3
    assert any("▇" in line or "█" in line for line in lines if line.startswith("as it was"))


def test_json_has_every_figure_of_every_run(platform: FakePlatform, trace: str) -> None:
    arguments = ["--trace", trace, "--nodes", "1xh100", "--policy", "reservations=0", "--price", "h100=2"]
    found = printed(run(platform, "simulate", *arguments, "-o", "json"))
    assert found["trace"]["skipped"] == {"no positive duration": 1}
    first, second = found["runs"]
    assert (first["name"], second["name"]) == ("as it was", "what if")
    assert (first["policy"]["reservations"], second["policy"]["reservations"]) == (4, 0)
    assert first["waits"] == {"tasks": 4, "mean": 5310.0, "p50": 5310.0, "p99": 10513.8, "longest": 10620.0}
    assert first["cost"]["price"] == 2 * 8 * 4
    assert first["makespan"] == 4 * 3600
    assert len(first["uses"][0]["over_time"]) == 120


def test_what_if_tasks_could_be_preempted(platform: FakePlatform, tmp_path: Path) -> None:
    path = tmp_path / "week.csv"
    path.write_text("submit_s,duration_s,num_gpus,weight\n0,90000,8,1\n4000,60,8,1000\n")
    arguments = ["--trace", str(path), "--nodes", "1xh100", "--restart", "60s", "--lengths", "known"]
    first, second = printed(run(platform, "simulate", *arguments, "-o", "json"))["runs"]
    assert (first["preemptions"], second["preemptions"]) == (0, 1)
    assert second["weighted_completion"] < first["weighted_completion"] / 10


def test_what_slurm_recorded_stands_beside_the_replay(platform: FakePlatform, tmp_path: Path) -> None:
    path = tmp_path / "sacct.txt"
    path.write_text(SACCT)
    shown = words(run(platform, "simulate", "--trace", str(path), "--nodes", "2xa100"))
    assert "RECORDED AS IT WAS" in shown
    assert "Wait, mean 5m45s 0.0s" in shown


def test_the_last_days_come_from_the_platform_with_its_nodes_and_their_prices(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/nodes", page(node(price="3"))).on("GET", "/api/v1/projects", page(project()))
    platform.on("GET", TASKS, page(task("b", 1, 0.5), task("a", 3, 1), task("old", 24 * 9, 1)))
    found = printed(run(platform, "simulate", "--last", "7d", "-o", "json"))
    assert (found["trace"]["tasks"], found["trace"]["format"]) == (2, "lepton")
    assert found["recorded"]["waits"]["mean"] == 0.0
    assert found["runs"][0]["makespan"] == pytest.approx(2.5 * 3600, abs=5)
    assert found["runs"][0]["cost"]["price"] == pytest.approx(2.5 * 2 * 1.5, rel=0.01)


def test_one_project_can_be_looked_at_alone(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/nodes", page(node())).on("GET", TASKS, page(task("a", 3, 1)))
    platform.on("GET", "/api/v1/projects/default", ok(project()))
    assert words(run(platform, "simulate", "--last", "7d", "--project", "default")).startswith("1 task of the last 7d")


def test_an_empty_past_says_what_to_do(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/nodes", page(node())).on("GET", "/api/v1/projects", page(project()))
    platform.on("GET", TASKS, page())
    result = run(platform, "simulate", "--last", "7d")
    assert result.exit_code == 1
    assert "Nothing ran in the last 7d." in result.stderr
    assert "lepton simulate --trace FILE" in result.stderr


def test_without_a_platform_it_says_how_to_name_nodes(platform: FakePlatform, trace: str) -> None:
    import httpx

    platform.on("GET", "/api/v1/nodes", failing(httpx.ConnectError("refused")))
    result = run(platform, "simulate", "--trace", trace)
    assert result.exit_code == 1
    assert "or name the nodes: --nodes 50xa100" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "say either --trace FILE or --last 7d."),
        (["--last", "soon"], 2, "is not a duration"),
        (["--trace", "TRACE", "--lengths", "guessed"], 2, "'guessed' is none of learnt, noisy, known."),
        (["--trace", "TRACE", "--policy", "speed=1"], 1, "The policy has no 'speed'."),
        (["--trace", "TRACE", "--policy", "speed"], 2, "is not of the form NAME=VALUE"),
        (["--trace", "TRACE", "--add-nodes", "2xh900"], 1, "There is no node kind 'h900'."),
        (["--trace", "TRACE", "--price", "h100=much"], 2, "'much' is not a price."),
        (["--trace", "TRACE", "--plot", "week.pdf"], 1, "week.pdf ends in none of .svg, .png, .html."),
        (["--trace", "TRACE", "--restart", "soon"], 2, "is not a duration"),
        (["--trace", "TRACE", "--quota", "vision=gpu=4"], 1, "No project 'vision' has work in what is replayed."),
        (["--trace", "TRACE", "--quota", "vision"], 2, "is not of the form NAME=VALUE"),
        (["--trace", "TRACE", "--limit", "vision=gpu=many"], 2, "'many' is not a number."),
        (["--trace", "none.csv"], 1, "none.csv cannot be read"),
        (["--trace", "TRACE", "--format", "slurm"], 1, "is no Slurm trace"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    platform: FakePlatform, trace: str, arguments: list[str], code: int, message: str
) -> None:
    result = run(platform, "simulate", "--nodes", "1xh100", *(trace if one == "TRACE" else one for one in arguments))
    assert (result.exit_code, message in " ".join(result.output.replace("│", " ").split())) == (code, True), (
        result.output
    )


def test_a_picture_is_drawn_where_it_was_asked_for(platform: FakePlatform, trace: str, tmp_path: Path) -> None:
    result = run(platform, "simulate", "--trace", trace, "--nodes", "1xh100", "--plot", str(tmp_path / "week.svg"))
    assert result.exit_code == 0
    assert (tmp_path / "week.svg").read_text().count("</svg>") == 1


def test_kinds_are_told_apart_where_there_are_several_and_what_never_ran_is_told_why(
    platform: FakePlatform, tmp_path: Path
) -> None:
    path = tmp_path / "week.csv"
    path.write_text("submit_s,duration_s,num_gpus\n0,60,8\n0,60,160\n")
    arguments = ["simulate", "--trace", str(path), "--nodes", "1xh100"]
    shown = words(run(platform, *arguments, "--add-nodes", "1xmi300x"))
    assert "amd-mi300x-192gb in use" in shown
    assert "as it was: 1 never ran (too_large). The first: a gang of 20 x 8 accelerators needs 160" in shown
    assert "nvidia-h100-80gb in use" not in words(run(platform, *arguments))


SHARED = "submit_s,duration_s,num_gpus,vc\n0,7200,8,vision\n10,3600,8,speech\n20,3600,8,vision\n"


def shared(platform: FakePlatform, folder: Path, *arguments: str) -> Any:
    path = folder / "week.csv"
    path.write_text(SHARED)
    return run(platform, "simulate", "--trace", str(path), "--nodes", "1xh100", *arguments)


def test_other_quotas_are_one_more_what_if(platform: FakePlatform, tmp_path: Path) -> None:
    arguments = ["--quota", "speech=8xh100", "--limit", "vision=gpu=16", "--weight", "vision=2", "--restart", "30s"]
    first, second = printed(shared(platform, tmp_path, *arguments, "-o", "json"))["runs"]
    waits = [{one["project"]: one["waits"]["mean"] for one in each["projects"]} for each in (first, second)]
    assert waits[0]["speech"] > 7000
    assert waits[1]["speech"] < 60
    assert {one["project"]: one["reclaimed"] for one in second["projects"]} == {"speech": 0, "vision": 1}


def test_what_each_project_got_is_shown_for_both(platform: FakePlatform, tmp_path: Path) -> None:
    shown = words(shared(platform, tmp_path, "--quota", "speech=8xh100", "--restart", "30s"))
    assert "PROJECT RUN TASKS SHARE MEAN WAIT P99 BORROWED RECLAIMED speech as it was 1" in shown
    assert "vision as it was 2" in shown


def test_the_last_days_are_shared_as_the_projects_say(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/nodes", page(node()))
    limited = project() | {"spec": {"limit": {"accelerators": {"*": 1}}}}
    platform.on("GET", "/api/v1/projects", page(limited))
    platform.on("GET", TASKS, page(task("b", 2.9, 1), task("a", 3, 1)))
    first, second = printed(run(platform, "simulate", "--last", "7d", "--limit", "default=gpu=none", "-o", "json"))[
        "runs"
    ]
    assert (first["waits"]["longest"] > 3000, second["waits"]["longest"]) == (True, 0.0)
