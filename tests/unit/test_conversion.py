"""Conversions: the page's pixel, and the reports of servers."""

import json
import uuid
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingesting import Ingest

from ingest import conversion
from ingest.answers import GIF
from ingest.reading import reader
from ingest.request import Request
from pixeltally.settings import Settings
from pixeltally.signing import token

CLICK = "01890a5d-ac96-774b-bcce-b302099a8057"
GOOD = {"order": "A-1", "value": "12.50", "currency": "EUR", "click": CLICK, "subscriber": "anna"}


@pytest.fixture
def ingest(tmp_path):
    return Ingest(tmp_path / "data")


def post(ingest, body=GOOD, path="/v/acme/spring", bearer=None, **options):
    if bearer is None:
        bearer = token(ingest.settings.keys().signing(), "acme")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    options = {"content_type": "application/json", **options}
    return ingest.client.post(path, data=data, headers={"Authorization": f"Bearer {bearer}"}, **options)


# The page's pixel


def test_the_pixel_says_what_it_sold(ingest):
    path = f"/v/acme/spring.gif?order=A-1&value=012.50&currency=EUR&s=anna&pt_click={CLICK.upper()}&cb=1&x=2"
    answer = ingest.get(path)
    assert (answer.status_code, answer.data, answer.headers["Content-Type"]) == (200, GIF, "image/gif")
    [hit] = ingest.read()
    assert (hit.kind, hit.advertiser, hit.campaign, hit.creative, hit.placement) == (
        "conversion", "acme", "spring", "", "",
    )  # fmt: skip
    assert (hit.order, hit.value, hit.currency, hit.click_id) == ("A-1", "12.50", "EUR", CLICK)
    assert (hit.subscriber, hit.ip, hit.params) == ("anna", "192.0.2.7", {"x": "2"})
    assert ingest.client.head(path).headers["Content-Length"] == str(len(GIF))
    assert ingest.read() == []


def test_all_that_it_says_is_optional_and_an_unfilled_click_id_is_kept_as_it_is(ingest):
    ingest.get("/v/acme/spring.gif")
    ingest.get("/v/acme/spring.gif?order=&value=&currency=&pt_click=CLICK_ID")
    bare, unfilled = ingest.read()
    assert (bare.order, bare.value, bare.currency, bare.click_id, bare.params) == ("", "", "", "", {})
    assert (unfilled.click_id, unfilled.params) == ("", {"pt_click": "CLICK_ID"})
    assert bare.visitor == unfilled.visitor


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("acme/spring.gif?value=-5", "bad-value"),
        ("acme/spring.gif?value=12,50", "bad-value"),
        ("acme/spring.gif?value=1e3", "bad-value"),
        ("acme/spring.gif?value=VALUE", "bad-value"),
        ("acme/spring.gif?currency=EURO", "bad-currency"),
        ("acme/spring.gif?order=%00", "bad-order"),
        ("acme/spring.gif?order=" + "x" * 257, "bad-order"),
        ("acme/spring.png", "bad-name"),
        ("acme/spring", "bad-name"),
        ("acme/spring/banner.gif", "bad-name"),
        ("%ff//.gif", "bad-name"),
    ],
)
def test_it_is_answered_whatever_it_says_and_what_cannot_be_counted_has_a_reason(ingest, path, reason):
    assert ingest.get(f"/v/{path}").data == GIF
    assert ingest.read() == [reason]


# Servers' reports


def test_a_report_is_taken_with_its_hits_id(ingest):
    answer = post(ingest, path="/v/acme/spring?ignored=1")
    assert (answer.status_code, answer.content_type) == (202, "application/json")
    [hit] = ingest.read()
    assert answer.json == {"id": hit.id}
    assert uuid.UUID(hit.id).version == 7
    assert (hit.kind, hit.order, hit.value, hit.currency, hit.click_id, hit.subscriber) == (
        "conversion", "A-1", "12.50", "EUR", CLICK, "anna",
    )  # fmt: skip
    # The address and the agent are the advertiser's server's: they say nothing of the visitor.
    assert (hit.ip, hit.user_agent, hit.params) == ("", "", {})


def test_a_retried_order_is_the_same_visitors(ingest):
    for body in ({"order": "1"}, {"order": "1"}, {"order": "1", "click": CLICK}, {"order": "2", "click": CLICK}):
        assert post(ingest, body).status_code == 202
    first, retried, clicked, other = (hit.visitor for hit in ingest.read())
    assert first == retried != clicked == other


def test_a_subscriber_is_the_same_visitor_however_it_is_reported(ingest):
    post(ingest)
    ingest.get("/v/acme/spring.gif?s=anna")
    assert len({hit.visitor for hit in ingest.read()}) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"order": None}, "order"),
        ({"order": ""}, "order"),
        ({"order": ["1"]}, "order"),
        ({"order": "a\nb"}, "order"),
        ({"order": "\ud800"}, "order"),
        ({"value": "-0.01"}, "value"),
        ({"value": -5}, "value"),
        ({"value": 0.1 + 0.2}, "value"),
        ({"value": 1e30}, "value"),
        ({"value": float("nan")}, "value"),
        ({"value": "1e3"}, "value"),
        ({"value": "12,5"}, "value"),
        ({"value": "1.23456"}, "value"),
        ({"value": "123456789012345"}, "value"),
        ({"value": " 1"}, "value"),
        ({"value": "\u0661"}, "value"),
        ({"value": True}, "value"),
        ({"value": {}}, "value"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": 978}, "currency"),
        ({"click": "1"}, "click"),
        ({"subscriber": "x" * 257}, "subscriber"),
        ({"amount": "5"}, "amount"),
    ],
)
def test_what_cannot_be_used_is_named(ingest, change, field):
    answer = post(ingest, {**GOOD, **change})
    assert (answer.status_code, answer.json["field"]) == (422, field)
    assert field in answer.json["error"]
    assert ingest.lines() == []


def test_a_negative_value_is_refused_with_its_reason(ingest):
    assert "negative" in post(ingest, {**GOOD, "value": "-1"}).json["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"order":"1","order":"2"}', b"[" * 60_000]
)
def test_what_is_no_json_object_is_refused(ingest, body):
    answer = post(ingest, body)
    assert answer.status_code == 422
    assert answer.json["error"].startswith("the body ")


@pytest.mark.parametrize(
    ("written", "value"), [("12.50", "12.50"), ("99999999999999.9999", "99999999999999.9999"), ("7", "7"), ("0", "0")]
)
def test_a_number_is_taken_as_it_is_written(ingest, written, value):
    for literal in (written, json.dumps(written)):
        assert post(ingest, f'{{"order":"1","value":{literal}}}'.encode()).status_code == 202
    assert {hit.value for hit in ingest.read()} == {value}


def test_only_the_advertisers_token_opens(ingest):
    good = token(ingest.settings.keys().signing(), "acme")
    for bearer in ("", "x", good[:-1], token(ingest.settings.keys().signing(), "other")):
        answer = post(ingest, bearer=bearer)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "error" in answer.json
    assert ingest.client.post("/v/acme/spring", json=GOOD).status_code == 401
    assert post(ingest, path="/v/Acme/spring").status_code == 404
    assert ingest.lines() == []


def test_a_token_outlives_a_rotation(ingest):
    good = token(ingest.settings.keys().signing(), "acme")
    ingest.settings.keys().rotate()
    assert post(ingest, bearer=good).status_code == 202


def test_a_body_is_small_and_json(ingest):
    fits = json.dumps(GOOD).encode().ljust(conversion.MAX_BODY_BYTES)
    assert post(ingest, fits).status_code == 202
    assert post(ingest, fits + b" ").status_code == 413
    assert post(ingest, content_type="text/plain").status_code == 415
    assert post(ingest, content_type="application/json; charset=utf-8").status_code == 202


def test_what_could_not_be_written_down_is_not_taken(ingest, monkeypatch):
    monkeypatch.setattr("ingest.recorder.Recorder.record", lambda *_, **__: "")
    answer = post(ingest)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_get_cannot_pass_for_a_report(ingest):
    assert ingest.get("/v/acme/spring?order=1&value=5").data == GIF
    assert ingest.read() == ["bad-name"]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=256).filter(str.isprintable))
def test_any_printable_order_comes_through(order):
    read = reader(Settings.from_env({"PIXELTALLY_SECRET": "s"}))
    fields = conversion.read(json.dumps({"order": order, "subscriber": order}).encode())
    hit = read(Request(1.0, f"/v/a/b?{urlencode(fields)}", "", postback=True), "n", 1)
    assert (hit.order, hit.subscriber) == (order, order)
