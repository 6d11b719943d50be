"""Puts and gets small objects with boto3 and threads, in an environment of its own; prints both rates as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config


def main(endpoint: str, place: str, size: int, count: int, threads: int) -> None:
    """Print {"put": objects a second, "get": objects a second}."""
    config = Config(max_pool_connections=threads, s3={"addressing_style": "path"})
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)
    bucket, _, prefix = place.partition("/")
    content, names = os.urandom(size), [f"{prefix}/{number}" for number in range(count)]

    def rate(work: Callable[[str], object]) -> float:
        with ThreadPoolExecutor(threads) as pool:
            started = time.perf_counter()
            list(pool.map(work, names))
            return count / (time.perf_counter() - started)

    put = rate(lambda name: client.put_object(Bucket=bucket, Key=name, Body=content))
    got = rate(lambda name: client.get_object(Bucket=bucket, Key=name)["Body"].read())
    print(json.dumps({"put": put, "get": got}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
