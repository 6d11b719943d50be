"""Each format as its source writes it: what becomes of its columns, and what is skipped with a count."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.scheduling.snapshot import Demand
from lepton_ai.simulation.readers.detect import read_nodes, read_trace
from lepton_ai.simulation.readers.philly import gang
from lepton_ai.simulation.trace import Trace
from lepton_ai.types.resources import AcceleratorRequest

MIB, GIB = 2**20, 2**30

# One line of a job is longer than a line of code.
# ruff: noqa: E501
PHILLY = """submit_s,duration_s,num_gpus,vc
100,50,16,a
0,3600,1,b
60,0,1,b
70,30,12,a
"""

SACCT = """JobID|User|JobName|Priority|Submit|Start|End|ElapsedRaw|State|ReqTRES
101|ada|train-1|100|2026-03-01T08:00:00|2026-03-01T08:00:30|2026-03-01T09:00:30|3600|COMPLETED|billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=64G,node=1
101.batch|ada|batch|100|2026-03-01T08:00:30|2026-03-01T08:00:30|2026-03-01T09:00:30|3600|COMPLETED|
102_7|bob|prep|400|2026-03-01T07:59:00|2026-03-01T08:10:00|2026-03-01T08:11:00|60|CANCELLED by 1000|cpu=4,mem=4000M,node=2
103|bob|prep|100|2026-03-01T08:20:00|Unknown|Unknown|0|PENDING|cpu=4,mem=4000M,node=1
104|bob|prep|100|2026-03-01T08:20:00|2026-03-01T08:21:00|Unknown|900|RUNNING|cpu=4,mem=4000M,node=1
105|bob|prep|0|2026-03-01T08:20:00|2026-03-01T08:21:00|2026-03-01T08:21:00|0|FAILED|cpu=1,mem=1G,node=1
"""

OPENB = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
pod-1,12000,16384,1,460,,LS,Succeeded,1000,5000,1010
pod-2,8000,1024,2,1000,V100M32|V100M16,BE,Succeeded,500,600,500
pod-3,8000,1024,0,0,,BE,Pending,700,,
"""


def read(folder: Path, text: str) -> Trace:
    path = folder / "trace.csv"
    path.write_text(text)
    return read_trace(path)


def test_philly_jobs_are_sorted_counted_from_the_first_and_split_into_equal_gangs(tmp_path: Path) -> None:
    found = read(tmp_path, PHILLY)
    assert found.format == "philly"
    assert [(task.submitted, task.seconds, task.devices) for task in found.tasks] == [
        (0.0, 3600.0, 1.0), (70.0, 30.0, 12.0), (100.0, 50.0, 16.0),
    ]  # fmt: skip
    assert [task.demand.size for task in found.tasks] == [1, 2, 2]
    assert found.skipped == {"no positive duration": 1}
    assert "names no CPUs" in found.notes[0]


def test_more_columns_of_philly_like_traces_are_used_if_they_are_there(tmp_path: Path) -> None:
    found = read(tmp_path, "job_id,arrival_s,duration,gpus,gpu_type,cpus,memory,weight\nx,5,60,2,A100,8,64GB,3\n")
    task = found.tasks[0]
    assert task.demand == Demand(8000, 64 * 10**9, AcceleratorRequest(kind="a100", count=2))
    assert (task.id, task.weight, task.submitted) == ("x", 3.0, 0.0)


def test_jobs_without_devices_take_a_cpu(tmp_path: Path) -> None:
    assert read(tmp_path, "submit_s,duration_s,num_gpus\n0,60,0\n").tasks[0].demand == Demand(1000, 0)


@pytest.mark.parametrize(
    ("devices", "each", "expected"),
    [
        (1, 8, (1, 1)),
        (8, 8, (1, 8)),
        (12, 8, (2, 6)),
        (16, 8, (2, 8)),
        (11, 8, (11, 1)),
        (0, 8, (1, 0)),
        (4, 2, (2, 2)),
    ],
)
def test_a_gang_is_the_fewest_equal_replicas_that_fit(devices: int, each: int, expected: tuple[int, int]) -> None:
    assert gang(devices, each) == expected


def test_slurm_jobs_hold_what_they_asked_for_on_each_node(tmp_path: Path) -> None:
    found = read(tmp_path, SACCT)
    assert found.format == "slurm"
    prep, train = found.tasks
    assert train.demand == Demand(8000, 64 * GIB, AcceleratorRequest(kind="a100", count=2))
    assert prep.demand == Demand(2000, 2000 * MIB, None, 2)
    assert (prep.submitted, prep.seconds, prep.waited) == (0.0, 60.0, 660.0)
    assert (train.submitted, train.seconds, train.waited) == (60.0, 3600.0, 30.0)
    assert found.began == datetime(2026, 3, 1, 7, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "projects"),
    [
        (PHILLY, ["b", "a", "a"]),
        (OPENB, ["BE", "LS"]),
        (SACCT, ["bob", "ada"]),
        (SACCT.replace("User|", "Account|").replace("|ada|", "|physics|"), ["bob", "physics"]),
    ],
)
def test_each_task_is_of_the_project_that_the_trace_names(tmp_path: Path, text: str, projects: list[str]) -> None:
    assert [task.project for task in read(tmp_path, text).tasks] == projects


def test_a_slurm_job_without_nodes_counts_as_one_node(tmp_path: Path) -> None:
    row = "1|2026-03-01T08:00:00|2026-03-01T08:00:00|60|CANCELLED by 1000|cpu=4,mem=4G,node=0\n"
    found = read(tmp_path, "JobID|Submit|Start|ElapsedRaw|State|ReqTRES\n" + row)
    assert [task.demand.size for task in found.tasks] == [1]


def test_slurm_rows_that_cannot_be_replayed_are_counted_by_reason(tmp_path: Path) -> None:
    assert read(tmp_path, SACCT).skipped == {
        "never started": 1, "no positive duration": 1, "still running": 1, "steps of jobs, whose jobs are taken": 1,
    }  # fmt: skip


def test_slurm_priorities_over_their_median_are_the_weights(tmp_path: Path) -> None:
    assert [task.weight for task in read(tmp_path, SACCT).tasks] == [1.6, 0.4]


def test_slurm_jobs_of_one_user_and_name_are_alike_whatever_number_ends_the_name(tmp_path: Path) -> None:
    assert [task.kind for task in read(tmp_path, SACCT).tasks] == ["bob/prep/2/0", "ada/train/1/2"]


def test_slurm_resources_that_no_node_has_here_are_left_out(tmp_path: Path) -> None:
    text = SACCT.replace("mem=64G", "gres/gpumem=10G,license/ansys=1,energy=77,mem=64G")
    assert read(tmp_path, text).tasks[1].demand == Demand(8000, 64 * GIB, AcceleratorRequest(kind="a100", count=2))


@pytest.mark.parametrize(
    ("memory", "bytes_each"),
    [("4000M", 4000 * MIB), ("1.5G", 1536 * MIB), ("2Gc", 8 * GIB), ("3Gn", 3 * GIB), ("512", 512 * MIB), ("0", 0)],
)
def test_slurm_memory_without_tres_counts_by_1024_and_knows_the_old_suffixes(
    tmp_path: Path, memory: str, bytes_each: int
) -> None:
    text = f"JobID|Submit|Start|Elapsed|ReqCPUS|ReqMem|NNodes\n1|2026-03-01T08:00:00|2026-03-01T08:00:00|1-00:00:01|4|{memory}|1\n"
    task = read(tmp_path, text).tasks[0]
    assert (task.demand, task.seconds) == (Demand(4000, bytes_each), 86_401.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mem=64G", "mem=64X", "ReqTRES 'billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=64X,node=1' has '64X'"),
        ("cpu=8", "cpu=eight", "line 2: ReqTRES 'billing=8,cpu=eight,"),
        ("2026-03-01T08:00:30", "yesterday", "line 2: Start 'yesterday' is not a time such as"),
        ("gres/gpu=2", "gres/gpu=200", "is more than the 64 devices that one replica may hold; this is 200"),
        ("node=1", "node=5000", "has more than 4096 nodes"),
        ("|3600|COMPLETED|b", "|an hour|COMPLETED|b", "line 2: ElapsedRaw 'an hour' is not a number of seconds."),
    ],
)
def test_a_slurm_cell_that_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, SACCT.replace(old, new, 1))
    assert message in raised.value.message


def test_openb_pods_run_from_when_they_were_scheduled(tmp_path: Path) -> None:
    found = read(tmp_path, OPENB)
    second, first = found.tasks
    assert found.format == "openb"
    assert first.demand == Demand(12_000, 16384 * MIB, AcceleratorRequest(share_milli=460))
    assert second.demand == Demand(8000, 1024 * MIB, AcceleratorRequest(kind="v100m16|v100m32", count=2))
    assert [(task.submitted, task.seconds, task.waited, task.weight) for task in found.tasks] == [
        (0.0, 100.0, 0.0, 1.0), (500.0, 3990.0, 10.0, 4.0),
    ]  # fmt: skip
    assert found.skipped == {"never started": 1}


def test_an_openb_share_of_several_gpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="line 2: gpu_milli '460' is no share of 2 GPUs"):
        read(tmp_path, OPENB.replace("1,460", "2,460"))


def test_openb_without_times_says_which_columns_are_missing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no openb trace: it has no column creation_time, deletion_time"):
        read(tmp_path, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,1,1000\n")


def test_openb_nodes_are_read_with_their_devices(tmp_path: Path) -> None:
    path = tmp_path / "nodes.csv"
    path.write_text("sn,cpu_milli,memory_mib,gpu,model\nn-1,64000,262144,2,P100\nn-2,32000,1024,0,\n")
    first, second = read_nodes(path)
    assert (first.cpu_milli, first.memory_bytes, [one.kind for one in first.devices]) == (64_000, 2**38, ["p100"] * 2)
    assert second.devices == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "nodes.csv has no nodes."),
        ("n-1,64000,1,2,P100\nn-1,64000,1,2,P100\n", "1 nodes have the name of another"),
        ("n-1,many,1,2,P100\n", "line 2: cpu_milli 'many' is not thousandths of a CPU."),
        ("n-1,64000,1,99,P100\n", "line 2: gpu '99' is more than the 64 devices"),
        ("n-1,64000,1e15,2,P100\n", "line 2: memory_mib '1e15' is more than 8,589,934,592 MiB"),
    ],
)
def test_a_node_list_that_is_wrong_is_refused(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "nodes.csv"
    path.write_text("sn,cpu_milli,memory_mib,gpu,model\n" + lines)
    with pytest.raises(InvalidInput) as raised:
        read_nodes(path)
    assert message in raised.value.message


def test_an_unknown_heading_names_the_formats_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no trace that is known here; its columns are a, b.* sacct"):
        read(tmp_path, "a,b\n1,2\n")


def test_a_format_that_is_named_is_taken_at_its_word(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(PHILLY)
    with pytest.raises(InvalidInput, match="is no Slurm trace: it has no column JobID, Submit"):
        read_trace(path, "slurm")
    with pytest.raises(InvalidInput, match=r"no trace format 'pbs'. Known: philly, openb, slurm"):
        read_trace(path, "pbs")
