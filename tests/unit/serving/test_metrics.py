"""The exposition that Prometheus reads."""

from __future__ import annotations

from lepton_ai.serving.metrics import Metrics


def test_buckets_are_cumulative_and_end_at_infinity() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.002, 60.0):
        metrics.answered("predict", 200, seconds)
    lines = metrics.expose().decode().splitlines()
    bucket = 'lepton_serving_request_seconds_bucket{handler="predict",le="%s"} %d'
    assert bucket % ("0.0005", 1) in lines
    assert bucket % ("0.001", 1) in lines
    assert bucket % ("0.0025", 2) in lines
    assert bucket % ("30.0", 2) in lines
    assert bucket % ("+Inf", 3) in lines
    assert 'lepton_serving_request_seconds_sum{handler="predict"} 60.0025' in lines


def test_answers_are_counted_by_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 500):
        metrics.answered("predict", status, 0.1)
    lines = metrics.expose().decode().splitlines()
    assert 'lepton_serving_requests_total{handler="predict",status="200"} 2' in lines
    assert 'lepton_serving_requests_total{handler="predict",status="500"} 1' in lines


def test_nothing_counted_is_still_a_valid_exposition() -> None:
    assert Metrics().expose().endswith(b"\n")
