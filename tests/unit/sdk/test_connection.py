"""Talking to an instance: what is tried again, and what trouble is called."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from lepton_ai.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LeptonError,
    NotFound,
    QuotaExceeded,
    StorageFailed,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.problems import REFUSED_DELAYS, RESTART_DELAYS
from lepton_ai.sdk.profiles import Target
from tests.unit.sdk.fake_platform import TOKEN, URL, FakePlatform, Reply, failing, ok, plain, problem

PATH = "/api/v1/status"
GET = Call("GET", PATH)
CREATE = Call("POST", PATH, body={"a": 1}, key="key-1")
UNSAFE = Call("POST", PATH, body={"a": 1})


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


def refused_tls() -> httpx.ConnectError:
    error = httpx.ConnectError("tls")
    error.__cause__ = ssl.SSLCertVerificationError(1, "unable to get local issuer certificate")
    return error


def test_every_request_carries_the_token(platform: FakePlatform) -> None:
    platform.on("GET", PATH, ok({"a": 1}))
    assert platform.connection.fetch(GET) == {"a": 1}
    assert platform.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("call", [GET, CREATE, Call("PUT", PATH, content=lambda: (b"x",))])
def test_a_restart_of_the_core_is_waited_out_where_a_repeat_does_no_harm(
    platform: FakePlatform, call: Call, status: int
) -> None:
    platform.on(call.method, PATH, plain(status), plain(status), ok({"a": 1}))
    assert platform.connection.fetch(call) == {"a": 1}
    assert len(platform.naps) == 2


def test_a_repeat_has_the_same_key_and_the_same_content(platform: FakePlatform) -> None:
    platform.on("POST", PATH, failing(httpx.ReadError("x")), ok({}))
    platform.connection.send(CREATE)
    first, second = platform.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "key-1"
    assert first.content == second.content == b'{"a":1}'


def test_streamed_content_is_made_anew_for_each_attempt(platform: FakePlatform) -> None:
    platform.on("PUT", PATH, plain(503), ok({}))
    platform.connection.send(Call("PUT", PATH, content=lambda: iter((b"ab", b"c"))))
    assert [request.content for request in platform.requests] == [b"abc", b"abc"]


@pytest.mark.parametrize(
    "trouble", [plain(503), failing(httpx.ReadError("x")), failing(httpx.RemoteProtocolError("x"))]
)
def test_what_may_have_been_carried_out_is_not_sent_twice_without_a_key(platform: FakePlatform, trouble: Reply) -> None:
    platform.on("POST", PATH, trouble)
    with pytest.raises(Unavailable):
        platform.connection.send(UNSAFE)
    assert len(platform.requests) == 1


def test_what_was_never_sent_is_tried_again_whatever_it_is(platform: FakePlatform) -> None:
    platform.on("POST", PATH, failing(httpx.ConnectError("refused")), ok({}))
    platform.connection.send(UNSAFE)
    assert len(platform.requests) == 2


def test_an_instance_that_does_not_run_is_told_of_soon_with_the_next_step(platform: FakePlatform) -> None:
    platform.on("GET", PATH, failing(httpx.ConnectError("refused")))
    with pytest.raises(Unavailable, match="does not answer") as refusal:
        platform.connection.send(GET)
    assert refusal.value.hint == "Start it: lepton up"
    assert len(platform.naps) == len(REFUSED_DELAYS)


def test_trouble_that_stays_is_given_up_on(platform: FakePlatform) -> None:
    platform.on("GET", PATH, plain(503))
    with pytest.raises(Unavailable, match="HTTP 503"):
        platform.connection.send(GET)
    assert len(platform.requests) == 1 + len(RESTART_DELAYS)
    assert 2.5 < sum(platform.naps) < 5.2


def test_an_answer_that_does_not_come_is_not_asked_for_again(platform: FakePlatform) -> None:
    platform.on("GET", PATH, failing(httpx.ReadTimeout("x")))
    with pytest.raises(Unavailable, match="did not answer in time"):
        platform.connection.send(GET)
    assert len(platform.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (422, "invalid_input", InvalidInput),
        (413, "too_large", TooLarge),
        (403, "forbidden", Forbidden),
        (404, "not_found", NotFound),
        (409, "conflict", Conflict),
        (429, "quota_exceeded", QuotaExceeded),
        (418, "from_the_future", LeptonError),
        (409, "from_the_future", Conflict),
    ],
)
def test_a_problem_becomes_the_error_that_the_instance_meant(
    platform: FakePlatform, status: int, code: str, kind: type[LeptonError]
) -> None:
    platform.on("GET", PATH, problem(status, code, "The fact.", hint="The step."))
    with pytest.raises(LeptonError) as refusal:
        platform.connection.send(GET)
    assert (type(refusal.value), refusal.value.message, refusal.value.hint) == (kind, "The fact.", "The step.")


def test_our_own_mistake_is_told_with_the_number_of_the_request(platform: FakePlatform) -> None:
    platform.on("GET", PATH, problem(500, "internal", "A mistake.", hint="See the log.", request_id="r-7"))
    with pytest.raises(LeptonError) as refusal:
        platform.connection.send(GET)
    assert refusal.value.hint == "See the log. (request r-7)"


def test_a_full_disk_is_told_of_at_once(platform: FakePlatform) -> None:
    platform.on("GET", PATH, problem(503, "storage_failed", "The disk is full."))
    with pytest.raises(StorageFailed):
        platform.connection.send(GET)
    assert platform.naps == []


def test_a_problem_names_each_place_that_is_wrong(platform: FakePlatform) -> None:
    errors = [{"loc": ["spec", "cpu"], "msg": "is told of"}, {"loc": "spec.replicas", "msg": "must be at least 1"}]
    platform.on("GET", PATH, problem(422, "invalid_input", "spec.cpu is told of", errors=errors))
    with pytest.raises(InvalidInput) as refusal:
        platform.connection.send(GET)
    assert refusal.value.message == "spec.cpu is told of\n  spec.replicas: must be at least 1"


@pytest.mark.parametrize("reply", [plain(401, b"<html>"), problem(401, "unauthenticated", "It has expired.")])
def test_a_refused_token_is_named_by_its_source_and_never_shown(platform: FakePlatform, reply: Reply) -> None:
    platform.on("GET", PATH, reply)
    with pytest.raises(Unauthenticated, match="LEPTON_TOKEN") as refusal:
        platform.connection.send(GET)
    assert TOKEN not in str(refusal.value)


def test_a_certificate_that_is_not_trusted_is_told_of_at_once(platform: FakePlatform) -> None:
    platform.on("GET", PATH, failing(refused_tls()))
    with pytest.raises(Unavailable, match="local issuer certificate") as refusal:
        platform.connection.send(GET)
    assert "LEPTON_CA" in refusal.value.hint
    assert len(platform.requests) == 1


def test_a_stranger_behind_the_url_is_named_as_such(platform: FakePlatform) -> None:
    platform.on("GET", PATH, plain(200, b"<html>hello</html>"))
    with pytest.raises(Unavailable, match="did not answer with JSON"):
        platform.connection.fetch(GET)


def test_a_redirect_is_not_followed_with_the_token(platform: FakePlatform) -> None:
    platform.on("GET", PATH, lambda _: httpx.Response(302, headers={"location": "https://elsewhere.test/"}))
    with pytest.raises(LeptonError, match="HTTP 302"):
        platform.connection.send(GET)
    assert len(platform.requests) == 1


def test_a_number_that_json_does_not_know_is_refused(platform: FakePlatform) -> None:
    with pytest.raises(InvalidInput, match="JSON"):
        platform.connection.send(Call("POST", PATH, body={"a": float("nan")}))


def test_a_ca_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"missing\.pem"):
        Connection(Target(URL, TOKEN, "LEPTON_TOKEN", ca=str(tmp_path / "missing.pem")))
