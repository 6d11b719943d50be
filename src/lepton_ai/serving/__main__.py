"""`python -m lepton_ai.serving`: serves `--app module:Class` or `--model file.onnx` on PORT of the environment."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lepton_ai.errors import InvalidInput, LeptonError
from lepton_ai.serving.app import HandlerOptions
from lepton_ai.serving.http import BODY_BYTES_MAX, Application
from lepton_ai.serving.loading import load_app
from lepton_ai.serving.metrics import Metrics
from lepton_ai.serving.routes import routes_of
from lepton_ai.serving.runtimes.cpus import granted_cpus
from lepton_ai.serving.server import POOL_PREFIX, Served, serve, take_port

THREADS_MIN = 8  # plain handlers often wait for something else, so more of them than CPUs may run
# The platform sends SIGKILL 10 s after SIGTERM unless told otherwise; 2 s are left for the user's own close().
GRACE_SECONDS = 8.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM. Returns 0, or 1 after one line that says what is wrong."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what a handler prints is in the log when it happens
    try:
        bound = take_port(os.environ)
        serve(lambda: _build(options), bound, grace_seconds=options.grace_seconds)
    except LeptonError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lepton_ai.serving", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--app", metavar="MODULE:CLASS", help="a class with methods marked @handler")
    what.add_argument("--model", metavar="FILE", type=Path, help="an ONNX file")
    parser.add_argument("--name", default="", help="the model's name in URLs (default: the file's)")
    parser.add_argument("--max-batch-size", type=int, default=32, help="of a model; 1 turns batching off")
    parser.add_argument("--max-wait-ms", type=float, default=2.0, help="of a model's batch")
    parser.add_argument("--threads", type=int, default=0, help="for plain handlers, or inside the model")
    parser.add_argument("--body-bytes-max", type=int, default=BODY_BYTES_MAX)
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS, help="for calls in flight at SIGTERM")
    return parser


def _build(options: argparse.Namespace) -> Served:
    if options.threads < 0 or options.body_bytes_max < 1 or options.grace_seconds < 0:
        raise InvalidInput("--threads, --body-bytes-max and --grace-seconds cannot be negative.")
    metrics = Metrics()
    if options.model:
        return _build_model(options, metrics)
    instance = load_app(options.app)
    pool = ThreadPoolExecutor(options.threads or max(THREADS_MIN, 2 * granted_cpus()), POOL_PREFIX)
    routes = routes_of(instance, pool, metrics)
    return Served(Application(routes, metrics, options.body_bytes_max), pool, instance)


def _build_model(options: argparse.Namespace, metrics: Metrics) -> Served:
    from lepton_ai.serving.protocols.inference import model_routes  # NumPy: 60 ms that --app need not pay
    from lepton_ai.serving.runtimes.onnx import load_model

    batching = HandlerOptions(options.max_batch_size, options.max_wait_ms)
    model = load_model(options.model, options.name, options.threads or granted_cpus())
    pool = ThreadPoolExecutor(1, POOL_PREFIX)  # one run at a time: the session's own threads fill the CPUs
    routes = model_routes(model, batching, pool, metrics)
    return Served(Application(routes, metrics, options.body_bytes_max), pool, model)


if __name__ == "__main__":
    sys.exit(main())
