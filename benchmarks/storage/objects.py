"""What encryption costs, and how near the store's own speed objects are put and got: ratios, taken in one run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore

from benchmarks.figure import Figure, Report, at_least, told
from benchmarks.storage.rig import Rig, encryption_off, running_store
from benchmarks.venv import installed_venv
from lepton_ai.sealing.header import DataKey, Place, new_header
from lepton_ai.sealing.segments import SegmentCipher

MIB = 1024 * 1024
LARGE = 64 * MIB
ROUNDS = 5  # each with every way of putting or getting once, so that all see the machine alike
SMALL, SMALL_COUNT, THREADS = 100_000, 1000, 16
CIPHER_SEGMENTS = 2000  # 2 GiB
PEER = Path(__file__).with_name("boto3_peer.py")
PEER_SECONDS_MAX = 300


def measure() -> Report:
    """Put and get large and small objects in an embedded SeaweedFS, with encryption, without, and past us."""
    figures = [at_least("cipher stage, per second of CPU", [cipher_speed() for _ in range(3)], 10, "GB/s")]
    with running_store("seaweedfs") as rig:
        figures += large(rig)
        figures += small(rig)
    notes = [
        f"{LARGE // MIB} MiB at a time, {ROUNDS} rounds, interleaved; a ratio is one of medians. Straight: obstore,"
        " parts of 8 MiB, 4 at once, content not encrypted.",
        f"{SMALL_COUNT:,} objects of {SMALL:,} bytes, {THREADS} threads, one process. boto3: the same server, threads,"
        " content not encrypted.",
    ]
    return Report(name="storage", title="Objects in buckets", figures=figures, notes=notes)


def cipher_speed() -> float:
    """Return GB per second of CPU time of sealing segments into one buffer."""
    key, place = DataKey(bytes(64), bytes(32)), Place("p", "b", "n")
    header = new_header(key, place, bytes(16), bytes(32), 20)
    cipher = SegmentCipher(header, key.plain, place)
    plain, out = memoryview(bytearray(MIB)), memoryview(bytearray(MIB + 16))
    started = time.process_time()
    for index in range(CIPHER_SEGMENTS):
        cipher.seal_into(plain, out, index, is_last=False)
    return CIPHER_SEGMENTS * MIB / (time.process_time() - started) / 1e9


def large(rig: Rig) -> list[Figure]:
    """Return the ratios of large objects."""
    content, straight = os.urandom(LARGE), f"{rig.target.prefix}/straight"
    rig.bucket.put("on", content)
    with encryption_off():
        rig.bucket.put("off", content)

    def put_straight() -> None:
        obstore.put(rig.straight, straight, content, chunk_size=8 * MIB, max_concurrency=4)

    puts = interleaved(
        (
            lambda: rig.bucket.put("on", content),
            without_encryption(lambda: rig.bucket.put("off", content)),
            put_straight,
        )
    )
    gets = interleaved(
        (
            lambda: rig.bucket.get("on"),
            without_encryption(lambda: rig.bucket.get("off")),
            lambda: bytes(obstore.get(rig.straight, straight).bytes()),
        )
    )
    figures = []
    for verb, (on, off, past) in (("put", puts), ("get", gets)):
        figures += [
            told(f"{verb} of {LARGE // MIB} MiB", [LARGE / seconds / 1e6 for seconds in on], "MB/s"),
            at_least(f"{verb}: encryption on against off", [median_ratio(off, on)], 0.85, "x"),
            at_least(f"{verb}: against obstore straight", [median_ratio(past, on)], 0.8, "x"),
        ]
    return figures


def small(rig: Rig) -> list[Figure]:
    """Return the rates of small objects, ours and boto3's."""
    content, names = os.urandom(SMALL), [f"small/{number}" for number in range(SMALL_COUNT)]
    with ThreadPoolExecutor(THREADS) as pool:
        put = rate(lambda: list(pool.map(lambda name: rig.bucket.put(name, content), names)))
        got = rate(lambda: list(pool.map(rig.bucket.get, names)))
    peer = boto3_rates(rig)
    return [
        told("put of small objects", [put], "/s"),
        at_least("put: against boto3 with threads", [put / peer["put"]], 2, "x"),
        told("get of small objects", [got], "/s"),
        at_least("get: against boto3 with threads", [got / peer["get"]], 2, "x"),
    ]


def boto3_rates(rig: Rig) -> dict[str, float]:
    """Return how many small objects a second boto3 puts and gets on the same server."""
    python = installed_venv("boto3", ["boto3"]) / "bin" / "python"
    target = rig.target
    given = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": target.access_key_id,
        "AWS_SECRET_ACCESS_KEY": target.secret_access_key,
    }
    words = [str(python), str(PEER), target.location, f"{target.s3_bucket}/{target.prefix}/boto3"]
    words += [str(SMALL), str(SMALL_COUNT), str(THREADS)]
    done = subprocess.run(words, env=given, capture_output=True, text=True, timeout=PEER_SECONDS_MAX, check=True)
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


def interleaved(ways: Sequence[Callable[[], object]]) -> list[list[float]]:
    """Return the seconds of each way, one after the other in each round."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for seconds, way in zip(found, ways, strict=True):
            started = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - started)
    return found


def without_encryption(way: Callable[[], object]) -> Callable[[], object]:
    """Return the way with encryption off."""

    def run() -> object:
        with encryption_off():
            return way()

    return run


def median_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(one) / statistics.median(other)


def rate(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return SMALL_COUNT / (time.perf_counter() - started)
