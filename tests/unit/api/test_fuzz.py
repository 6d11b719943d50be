"""Random requests to every route: whatever comes, the answer is the one of a working core, and a problem is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.api.platform import JOBS, Platform
from tests.unit.api.surface import Door, doors

EXAMPLES = 300
NAMES = ["train", "digits", "default", "admin", "node-1", "key", "platform", "*"]  # not "watch", which never ends
FIELDS = [
    "spec", "metadata", "status", "kind", "name", "labels", "command", "resources", "cpu", "memory", "accelerator",
    "gpu", "replicas", "array", "timeout", "retries", "failed", "env", "secrets", "after", "roles", "default", "*",
    "user", "expires_at", "value", "cordoned", "description", "resource_class", "stop_replicas", "app", "model", "port",
]  # fmt: skip
WORDS = ["true", "job", "1h", "512MB", "h100:1", "24GB..80GB:2", "admin", "viewer", "2030-01-01T00:00:00Z", "nan"]

texts = st.one_of(st.sampled_from(WORDS + NAMES), st.text(max_size=8))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from([0, -1, 2**31, 2**63, 2**64, 1e308])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | texts, inner, max_size=5),
    max_leaves=20,
)
drafts = st.fixed_dictionaries(
    {"spec": st.dictionaries(st.sampled_from(FIELDS), values, max_size=5)},
    optional={"metadata": st.dictionaries(st.sampled_from(FIELDS), values, max_size=3), "kind": texts},
)
queries = st.dictionaries(
    st.sampled_from(
        ["limit", "before", "after", "since", "version", "rank", "cursor", "tail_bytes", "index", "newest"]
    ),
    scalars.map(str),
    max_size=3,
)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform on which something of each kind is there."""
    made = Platform(Path(tmp_path_factory.mktemp("busy")))
    made.running_job("train")
    made.post(JOBS.replace("jobs", "endpoints"), {"metadata": {"name": "digits"}, "spec": {"command": ["x"]}})
    made.post(JOBS.replace("jobs", "secrets"), {"metadata": {"name": "key"}, "spec": {"value": "x"}})
    yield made
    made.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_no_request_breaks_the_core(busy: Platform, data: st.DataObject) -> None:
    every = [door for door in doors(busy.app) if not door.is_endless]
    door = data.draw(st.sampled_from(every))
    body = data.draw(drafts | values)
    content = json.dumps(body).encode(errors="surrogatepass")
    headers = {"content-type": "application/json"}
    answer = busy.call(door.method, url(door, data), content=content, headers=headers, params=data.draw(queries))
    assert answer.status_code < 500, answer.text
    assert answer.status_code < 400 or answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code < 400 or door.method == "HEAD" or answer.json()["status"] == answer.status_code


def url(door: Door, data: st.DataObject) -> str:
    """Return a URL of the door, with names that are there, that are not, and that are none."""
    names = st.sampled_from(NAMES) | st.text(max_size=6)
    project, name = data.draw(st.just("default") | names), data.draw(names)
    return door.url(quote(project, safe="", errors="surrogatepass"), quote(name, safe="", errors="surrogatepass"))
