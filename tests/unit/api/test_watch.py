"""Watching: all that is live, then every change, resumed anywhere without a loss, and let go of when a client goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lepton_ai.api.sse import cursors
from lepton_ai.kernel.change import Seen, update
from lepton_ai.kernel.store.store import CHANGES_MAX, LIST_MAX
from lepton_ai.types.identity import Role
from lepton_ai.types.job import Job, JobSpec
from tests.unit.api.platform import JOB, JOBS, Platform
from tests.unit.api.streams import Sent

WATCH = f"{JOBS}/watch"
CLIENTS = 200


def named(name: str) -> dict[str, Any]:
    return {**JOB, "metadata": {"name": name}}


def names(events: list[Sent]) -> list[tuple[str, str]]:
    return [(sent.event, sent.data["metadata"]["name"]) for sent in events]


def test_what_is_live_comes_first_and_then_every_change(platform: Platform) -> None:
    for name in ("a", "b"):
        platform.post(JOBS, named(name))
    with platform.stream(WATCH) as stream:
        assert names([stream.next(), stream.next()]) == [("put", "a"), ("put", "b")]
        platform.post(JOBS, named("c"))
        platform.call("DELETE", f"{JOBS}/a")
        seen = [stream.next(), stream.next()]
        assert names(seen) == [("put", "c"), ("put", "a")]
        assert seen[1].data["metadata"]["deletion_requested_at"] is not None
        platform.settle()
        assert ("delete", "a") in names([stream.next() for _ in range(3)])


def test_what_has_ended_is_not_listed_but_its_end_is_told(platform: Platform) -> None:
    replica = platform.running_job("train")
    with platform.stream(WATCH) as stream:
        assert stream.next().data["status"]["state"] == "running"
        platform.runtime.end(replica)
        platform.settle()
        assert stream.next().data["status"]["state"] == "succeeded"
    with platform.stream(WATCH) as stream:
        assert stream.is_silent()


def test_a_watch_is_resumed_where_it_was(platform: Platform) -> None:
    platform.post(JOBS, named("a"))
    with platform.stream(WATCH) as stream:
        since = stream.next().id
    platform.post(JOBS, named("b"))
    platform.post(JOBS, named("c"))
    with platform.stream(f"{WATCH}?since={since}") as stream:
        assert names([stream.next(), stream.next()]) == [("put", "b"), ("put", "c")]
        assert stream.is_silent()


def test_deletions_are_told_to_those_who_were_away(platform: Platform) -> None:
    platform.post(JOBS, named("a"))
    with platform.stream(WATCH) as stream:
        since = stream.next().id
    platform.call("DELETE", f"{JOBS}/a")
    platform.settle()
    with platform.stream(f"{WATCH}?since={since}") as stream:
        assert names([stream.next()]) == [("delete", "a")]


def test_a_client_cut_off_within_the_first_list_gets_it_again(platform: Platform) -> None:
    for name in ("a", "b", "c"):
        platform.post(JOBS, named(name))
    with platform.stream(WATCH) as stream:
        first, second, last = stream.next(), stream.next(), stream.next()
    assert (first.id, second.id) == ("", "")
    assert int(last.id) == platform.store.revision()


@pytest.mark.parametrize("cut_after", [1, 2])
def test_a_client_cut_off_within_one_commit_loses_nothing(platform: Platform, cut_after: int) -> None:
    for name in ("a", "b", "c"):
        platform.post(JOBS, named(name))
    since = platform.store.revision()
    changes = [update(job.replace(metadata=job.metadata.replace(labels={"x": ""}))) for job in platform.store.page(Job)]
    platform.store.commit(changes, actor="test")
    with platform.stream(f"{WATCH}?since={since}") as stream:
        cursor = [stream.next() for _ in range(cut_after)][-1].id
    with platform.stream(f"{WATCH}?since={cursor}") as stream:
        assert {name for _, name in names([stream.next() for _ in range(3)])} == {"a", "b", "c"}


def test_a_batch_that_is_full_may_have_split_a_commit() -> None:
    thing = Job(spec=JobSpec(command=("true",)))
    whole = [Seen(thing, revision, True, False) for revision in (1, 2, 2, 3)]
    full = [Seen(thing, 7, True, False)] * CHANGES_MAX
    assert cursors(whole) == [1, 1, 2, 3]
    assert cursors(full)[-1] == 6
    assert cursors([]) == []


def test_a_long_list_comes_whole(platform: Platform) -> None:
    platform.running_job("sweep", array=LIST_MAX + 5)
    with platform.stream("/api/v1/projects/default/tasks/watch") as stream:
        seen = [stream.next() for _ in range(LIST_MAX + 5)]
    assert len({sent.data["metadata"]["id"] for sent in seen}) == LIST_MAX + 5


@pytest.mark.parametrize("since", ["-2", "x", "1.5", str(2**63)])
def test_a_cursor_is_a_number(shared: Platform, since: str) -> None:
    assert shared.get(f"{WATCH}?since={since}").status_code == 422


def test_one_object_may_be_watched_by_name_or_id(platform: Platform) -> None:
    made = platform.post(JOBS, named("a")).json()["metadata"]["id"]
    for asked in ("a", made):
        with platform.stream(f"{WATCH}?name={asked}") as stream:
            assert names([stream.next()]) == [("put", "a")]
            platform.post(JOBS, JOB)
            assert stream.is_silent()


def test_nothing_of_another_project_is_told(platform: Platform) -> None:
    platform.project("other")
    with platform.stream(WATCH) as stream:
        platform.post(JOBS.replace("default", "other"), JOB)
        assert stream.is_silent()
        platform.post(JOBS, named("own"))
        assert names([stream.next()]) == [("put", "own")]


def test_no_secret_is_told(platform: Platform) -> None:
    with platform.stream("/api/v1/projects/default/secrets/watch") as stream:
        platform.post("/api/v1/projects/default/secrets", {"metadata": {"name": "key"}, "spec": {"value": "hush"}})
        assert stream.next().data["spec"] == {"sealed": ""}
    with platform.stream("/api/v1/tokens/watch") as stream:
        assert stream.next().data["spec"]["sha256"] == ""


@pytest.mark.parametrize(
    "path", [WATCH, f"{JOBS}/train/logs?follow=true", "/api/v1/projects/default/events?follow=true"]
)
def test_a_client_that_goes_away_leaves_nothing_behind(platform: Platform, path: str) -> None:
    platform.running_job("train")
    for _ in range(CLIENTS):
        with platform.stream(path) as stream:
            assert stream.status == 200
    assert platform.listeners() == 0


def test_a_client_that_goes_between_two_events_leaves_nothing_behind(platform: Platform) -> None:
    platform.post(JOBS, JOB)
    with platform.stream(WATCH) as stream:
        stream.next()
        platform.post(JOBS, JOB)
    assert platform.listeners() == 0


@pytest.mark.parametrize("kind", ["jobs/watch", "events?follow=true"])
def test_a_stream_tells_nothing_more_once_its_token_is_gone(platform: Platform, kind: str) -> None:
    token = platform.user("ada", {"default": Role.VIEWER})
    with platform.stream(f"/api/v1/projects/default/{kind}", token) as stream:
        assert stream.is_silent()
        platform.call("DELETE", "/api/v1/tokens/ada")
        platform.post(JOBS, JOB)
        assert stream.rest() == []


def test_a_stream_tells_nothing_more_once_the_role_is_gone(platform: Platform) -> None:
    token = platform.user("ada", {"default": Role.VIEWER})
    with platform.stream(WATCH, token) as stream:
        platform.call("PATCH", "/api/v1/users/ada", json={"spec": {"roles": {"default": None}}})
        platform.post(JOBS, JOB)
        assert stream.rest() == []


def test_a_stream_tells_nothing_more_once_its_token_expired(platform: Platform) -> None:
    token = platform.user("ada", {"default": Role.VIEWER}, platform.clock.now() + timedelta(hours=1))
    with platform.stream(WATCH, token) as stream:
        platform.clock.turn(timedelta(hours=2))
        platform.post(JOBS, JOB)
        assert stream.rest() == []
