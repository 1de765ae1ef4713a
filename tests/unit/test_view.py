"""What stands in the URL is what is looked at, and nothing in it becomes SQL."""

import re
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboards.boards import BOARDS, TENANT_BOARDS, campaign, mail, network
from dashboards.boards.board import SCOPES
from dashboards.live.feed import questions
from dashboards.live.view import SPANS, View, Wrong, boards, path, read, zones
from dashboards.macros import expand

NOW_S = 1_800_000_017.0
NAME = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True)


def of(url: str, tenant: str = "") -> View:
    parts = urlsplit(url)
    return read(parts.path, parts.query, "Europe/Berlin", tenant)


VIEWS = st.builds(
    View,
    board=st.sampled_from(BOARDS),
    zone=st.sampled_from(["Asia/Kolkata", "America/St_Johns", "UTC"]),
    span=st.sampled_from(sorted(SPANS)),
    chosen=st.tuples(NAME, NAME, NAME).map(lambda names: tuple(zip(SCOPES, names, strict=True))),
    has_zone=st.just(True),
)


@given(VIEWS)
def test_a_view_comes_back_from_its_url(view: View):
    again = of(view.href())
    assert again.question == view.question
    assert again.href() == view.href()


def test_the_first_board_in_the_viewers_zone_is_what_nothing_says():
    view = of("/")
    assert (view.board, view.zone, view.span, view.choice) == (network.BOARD, "Europe/Berlin", "1h", {})
    assert view.href() == "/network"
    assert read("/", "", "no such zone").zone == "UTC"


def test_links_keep_range_zone_and_what_the_board_can_choose():
    view = of("/campaign?range=7d&zone=Asia/Tokyo&advertiser=acme&campaign=spring&creative=a")
    assert view.href(mail.BOARD) == "/mail?range=7d&zone=Asia/Tokyo&advertiser=acme&campaign=spring"
    assert view.href(network.BOARD) == "/network?range=7d&zone=Asia/Tokyo"
    assert view.href(advertiser="globex", campaign="", creative="") == (
        "/campaign?range=7d&zone=Asia/Tokyo&advertiser=globex"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/nothing", "There is no board /nothing."),
        ("/network?zone=Mars/Base", "There is no time zone 'Mars/Base'"),
        ("/network?range=9y", "range=9y is not on offer"),
        ("/campaign?advertiser=ACME", "'ACME' names no advertiser"),
        ("/network?from=2026-11-01", "from and to are days"),
        ("/network?from=2026-11-01&to=2026-02-30", "There is no such time"),
        ("/network?from=0001-01-01&to=2026-02-20", "is empty"),
        ("/network?from=2026-11-02&to=2026-11-01", "The range from 2026-11-02 to 2026-11-01 is empty."),
    ],
)
def test_a_url_that_shows_nothing_says_why(url: str, said: str):
    with pytest.raises(Wrong, match=re.escape(said)):
        of(url)


@given(st.sampled_from(["advertiser", "campaign", "creative", "zone", "range", "from", "to"]), st.text())
@example("advertiser", "acme') OR 1=1 --")
@example("zone", "UTC'), sleep(3), ('")
@example("from", "2026-11-01' UNION ALL SELECT")
@example("advertiser", "acme\n")
def test_no_text_of_a_url_becomes_sql(name: str, text: str):
    try:
        view = of(
            f"/campaign?{name}={quote(text)}&to=2026-11-01" if name == "from" else f"/campaign?{name}={quote(text)}"
        )
    except Wrong:
        return
    plain = of("/campaign")
    for one, other in zip(questions(view), questions(plain), strict=True):
        texts, bound = view.variables()
        sql = expand(one.sql, 0, 1, 60, texts)
        without = expand(other.sql, 0, 1, 60, plain.variables()[0])
        assert sql == without or sql.replace(f"{name} IN ({{{name}:String}})", f"{name} IN ({name})") == without
        assert set(bound.values()) <= {text, view.zone}


def test_a_tenants_views_are_of_the_tenant_whatever_the_url_says():
    for url in ("/", "/campaign?advertiser=globex", "/mail?advertiser=globex&campaign=x", "/invalid"):
        view = of(url, "acme")
        assert view.choice["advertiser"] == "acme"
        assert view.question.tenant == "acme"
        assert view.variables()[1]["advertiser"] == "acme"
    for board in set(BOARDS) - set(TENANT_BOARDS):
        with pytest.raises(Wrong, match="There is no board"):
            of(path(board), "acme")
    assert of("/", "acme").board is campaign.BOARD
    assert boards("acme") == TENANT_BOARDS


@pytest.mark.parametrize("span", SPANS)
def test_a_range_up_to_now_has_whole_moments_and_the_open_minute(span: str):
    window = View(network.BOARD, span=span).window(NOW_S)
    length_s = SPANS[span][0]
    assert window.end_s == int(NOW_S) // 60 * 60 + 60
    assert window.start_s % window.step_s == 0
    assert length_s + 60 <= window.end_s - window.start_s < length_s + 60 + window.step_s
    assert (window.end_s - window.start_s) / window.step_s <= 122


def test_days_are_those_of_the_zone_and_both_included():
    # Clocks in Berlin go back on the 25th: that day has 25 hours.
    view = of("/network?from=2026-10-24&to=2026-10-25&zone=Europe/Berlin")
    window = view.window(NOW_S)
    assert window.end_s - window.start_s == 49 * 3600
    assert window.start_s == datetime(2026, 10, 24, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert window.start_s % window.step_s == 0
    minutes = of("/network?from=2026-10-24T10:07&to=2026-10-24T10:20&zone=Europe/Berlin").window(NOW_S)
    assert minutes.end_s - minutes.start_s == 13 * 60
    assert minutes.step_s == 60


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2026, 12, 1)),
    st.integers(1, 600 * 1440),
    st.sampled_from(sorted(zones())),
)
def test_any_range_has_moments_that_a_chart_can_show(first: datetime, minutes: int, zone: str):
    start = first.replace(second=0, microsecond=0, tzinfo=ZoneInfo(zone))
    last = datetime.fromtimestamp(start.timestamp() + minutes * 60, ZoneInfo(zone))
    try:
        view = of(f"/network?from={start:%Y-%m-%dT%H:%M}&to={last:%Y-%m-%dT%H:%M}&zone={quote(zone)}")
    except Wrong:  # an hour that there is twice
        return
    window = view.window(NOW_S)
    assert 1 <= (window.end_s - window.start_s) / window.step_s <= 610
    assert window.start_s < window.end_s


def test_a_range_that_has_not_begun_is_a_minute():
    window = of("/network?from=2090-01-01&to=2090-01-02").window(NOW_S)
    assert window.end_s - window.start_s == 60


def test_views_of_the_same_numbers_are_one_question():
    one = of("/network?advertiser=acme")
    assert one.question == replace(of("/network"), has_zone=False)
    assert of("/network?zone=Europe/Berlin").question == of("/network").question
