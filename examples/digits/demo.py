"""The main job, from nothing: start the platform, train a real model as a job, serve it, and ask it. `make demo`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from train import Trained, train

from lepton_ai import LeptonAI
from lepton_ai.sdk.endpoint_handle import EndpointHandle

ACCURACY_MIN = 0.97
BATCH = 50  # images in one request
TIME_LIMIT_SECONDS = 300


def main() -> None:
    """Run the demo; a step that does not hold ends it with an exit code of 1."""
    with tempfile.TemporaryDirectory(prefix="lepton-demo-") as folder, platform(Path(folder)):
        lepton = LeptonAI()
        trained = train_as_job(lepton)
        endpoint = deploy(lepton, trained, Path(folder))
        served = accuracy_as_served(endpoint, trained)
        say(f"Accuracy as served over HTTPS: {served:.4f} (the job measured {trained['accuracy']:.4f})")
        cli("explain", "digits")
        cli("queue")
        cli("resources")
        cli("simulate", "--last", "1h", "--add-nodes", "1xcpu")
        say(f"The endpoint was at {endpoint.url}")
        if min(served, trained["accuracy"]) < ACCURACY_MIN:
            sys.exit(f"Error: the accuracy is below {ACCURACY_MIN}.")
    say("Done: everything that was started has been stopped.")


@contextmanager
def platform(folder: Path) -> Iterator[None]:
    """Start the platform in a fresh state folder on a free port, and stop it at the end."""
    os.environ |= {"LEPTON_HOME": str(folder / "home"), "LEPTON_PORT": "0"}
    for name in ("LEPTON_INSTANCE", "LEPTON_TOKEN", "LEPTON_PROJECT"):
        os.environ.pop(name, None)
    cli("up")
    try:
        yield
    finally:
        cli("down")


def train_as_job(lepton: LeptonAI) -> Trained:
    """Run `train` as a job on the platform, show its log as it grows, and return what it returned."""
    job = lepton.jobs.create(
        function=train,
        kwargs={"epochs": 15},
        name="train-digits",
        resources={"cpu": 1, "memory": "3GB"},
        workdir=Path(__file__).parent,
        timeout=TIME_LIMIT_SECONDS,
    )
    say(f"Submitted job {job.name}; its log:")
    for line in job.logs(follow=True):
        print(f"    {line.text}", flush=True)
    job.wait(timeout=TIME_LIMIT_SECONDS, raise_on_failure=True)
    status = job.status
    say(
        f"Job {job.name} {status.state} with exit code {status.exit_code}: {status.cpu_seconds:.1f} s of CPU, "
        f"at most {status.peak_memory_bytes / 1e6:.0f} MB; limits held by {status.limits}"
    )
    return cast("Trained", job.result())


def deploy(lepton: LeptonAI, trained: Trained, folder: Path) -> EndpointHandle:
    """Serve the exported model as an endpoint."""
    model = folder / "digits.onnx"
    model.write_bytes(trained["onnx"])
    say(f"Serving {model.name} ({len(trained['onnx']) / 1e3:.0f} kB of ONNX) as endpoint 'digits'")
    endpoint = lepton.endpoints.create("digits", model=str(model), resources={"cpu": 0.5, "memory": "1GB"})
    return endpoint.wait_ready(timeout=TIME_LIMIT_SECONDS)


def accuracy_as_served(endpoint: EndpointHandle, trained: Trained) -> float:
    """Send every held-out image through HTTPS with a token; return the share of right answers."""
    images, labels, right = trained["images"], trained["labels"], 0
    for start in range(0, len(images), BATCH):
        answer = cast(
            "dict[str, dict[str, list[list[float]]]]", endpoint.call(inputs={"image": images[start : start + BATCH]})
        )
        for scores, label in zip(answer["outputs"]["scores"], labels[start : start + BATCH], strict=True):
            right += scores.index(max(scores)) == label
    return right / len(labels)


def cli(*words: str) -> None:
    """Run a `lepton` command as a user would; its failure ends the demo."""
    print(f"\n$ lepton {' '.join(words)}", flush=True)
    lepton = Path(sys.executable).with_name("lepton")
    subprocess.run([lepton, *words], check=True, timeout=TIME_LIMIT_SECONDS)


def say(sentence: str) -> None:
    """Print one step."""
    print(f"\n==> {sentence}", flush=True)


if __name__ == "__main__":
    main()
