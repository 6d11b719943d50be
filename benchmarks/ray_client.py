"""Submits a Ray job for each line that it reads; run by the Python of Ray's own virtual environment."""

from __future__ import annotations

import sys

from ray.job_submission import JobSubmissionClient


def main() -> None:
    client = JobSubmissionClient(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        print(client.submit_job(entrypoint=line.strip()), flush=True)


if __name__ == "__main__":
    main()
