"""How objects show themselves in a terminal and in a notebook."""

from __future__ import annotations

import pytest

from lepton_ai.sdk.listing import Columns, Listing
from lepton_ai.sdk.notebook import Bar, card, table
from tests.unit.sdk.fake_platform import PROJECT, FakePlatform, endpoint, job, labelled, ok, page

EVIL = "<script>alert('x')</script>"
WORDS: Columns[str] = Columns(("word", "share"), lambda word: (word, Bar(len(word) / 4)))


def test_a_listing_is_a_sequence() -> None:
    listing = Listing(("a", "bb", "ccc"), WORDS, "next")
    assert (len(listing), listing[0], list(listing[1:]), "bb" in listing) == (3, "a", ["bb", "ccc"], True)


def test_a_listing_prints_as_a_table() -> None:
    assert repr(Listing(("a", "bbbb"), WORDS)) == "word  share\na     25%\nbbbb  100%"
    assert repr(Listing((), WORDS)) == "(none)"


@pytest.mark.parametrize(
    "html",
    [
        table((EVIL,), [(EVIL,)], EVIL),
        card(EVIL, [(EVIL, EVIL)]),
        Listing((EVIL,), WORDS)._repr_html_(),
    ],
)
def test_what_comes_from_outside_is_escaped(html: str) -> None:
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_the_pages_of_real_objects_are_escaped(platform: FakePlatform) -> None:
    evil_job = labelled(job("failed", reason={"code": "x", "sentence": EVIL}), name="train")
    evil_job["spec"] = {"command": ["echo", EVIL]}
    platform.on("GET", f"{PROJECT}/jobs", page(evil_job)).on("GET", f"{PROJECT}/jobs/train", ok(evil_job))
    platform.on("GET", f"{PROJECT}/endpoints/digits", ok(endpoint("failed", reason={"sentence": EVIL})))
    shown = platform.client.jobs.list()._repr_html_()
    shown += platform.client.jobs.get("train")._repr_html_()
    shown += platform.client.endpoints.get("digits")._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 4


@pytest.mark.parametrize(
    ("share", "shown"), [(0.905, "90%"), (3.0, "100%"), (-1.0, "not measured"), (float("nan"), "not measured")]
)
def test_a_bar_stays_within_its_track(share: float, shown: str) -> None:
    assert shown in table(("use",), [(Bar(share),)])


def test_handles_have_a_short_repr(platform: FakePlatform) -> None:
    platform.on("GET", f"{PROJECT}/jobs/train", ok(job("running")))
    platform.on("GET", f"{PROJECT}/endpoints/digits", ok(endpoint(ready_replicas=1, wanted_replicas=2)))
    assert repr(platform.client.jobs.get("train")) == "<JobHandle train: running>"
    assert repr(platform.client.endpoints.get("digits")) == "<EndpointHandle digits: ready, 1/2 ready>"


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()
