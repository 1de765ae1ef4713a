"""Rates: limits that are exact, and a count that depends on the last two minutes' messages alone."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.rate import BURST, MINUTE_MS, MOST_A_MINUTE, MOST_A_SECOND, RATE, Rates

NOW_MS = 1_764_000_000_000 // MINUTE_MS * MINUTE_MS


def run(rates, requests):
    """The reasons of (arrived, visitor, ts) in order."""
    found = []
    for arrived, visitor, ts in requests:
        rates.turn(arrived)
        found.append(rates.count(visitor, ts))
    return found


def recount(requests):
    """The same, naively: a list of all that was counted, gone through for each request."""
    counted, found = [], []
    for arrived, visitor, ts in requests:
        span, minute = arrived // 60_000, ts // 60_000
        mine = [(at, when) for at, who, when in counted if who == visitor and when // 60_000 == minute]
        young = [when for at, when in mine if at == span]
        known = len(young) + len([when for at, when in mine if at == span - 1])
        row_start = young[len(young) - 200] if len(young) > 200 and len(young) % 200 == 1 else None
        if known >= 1000:
            found.append("rate")
        elif row_start is not None and abs(ts - row_start) < 1000:
            found.append("burst")
        else:
            found.append("")
            counted.append((span, visitor, ts))
    return found


def test_a_thousand_in_a_minute_are_let_through_and_no_more():
    requests = [(NOW_MS, 7, NOW_MS + n * 50) for n in range(1200)]
    assert run(Rates(), requests) == [""] * MOST_A_MINUTE + [RATE] * 200
    assert run(Rates(), [(NOW_MS, 7, NOW_MS + n * 60) for n in range(5000)]).count(RATE) == 0


def test_two_hundred_in_a_second_are_let_through_and_no_more_until_it_is_over():
    requests = [(NOW_MS, 7, NOW_MS + n) for n in range(1300)]
    found = run(Rates(), requests)
    first = MOST_A_SECOND + 1  # rows begin with the second request
    assert found[:first] == [""] * first
    assert set(found[first : 1 + 1000]) == {BURST}
    assert found[1 + 1000] == ""
    assert found == recount(requests)


def test_visitors_and_minutes_are_counted_apart():
    rates = Rates()
    assert run(rates, [(NOW_MS, 7, NOW_MS + n * 50) for n in range(1000)]) == [""] * 1000
    assert rates.count(8, NOW_MS) == ""
    assert rates.count(7, NOW_MS + MINUTE_MS) == ""
    assert rates.count(7, NOW_MS + 59_000) == RATE


def test_a_day_old_log_that_comes_within_a_minute_is_judged_by_its_own_time():
    requests = [(NOW_MS, 7, NOW_MS - 86_400_000 + n * 1000) for n in range(20_000)]
    assert set(run(Rates(), requests)) == {""}


def test_a_page_full_of_ads_for_everybody_behind_an_address_is_no_burst():
    assert set(run(Rates(), [(NOW_MS, 7, NOW_MS + n) for n in range(156)])) == {""}


# Steps in time: within a burst, within a minute, over minutes; and how long afterwards it arrives.
steps = st.tuples(st.sampled_from((0, 0, 0, 1, 3, 700, 20_000)), st.integers(1, 320), st.sampled_from((0, 900, 70_000)))


@st.composite
def histories(draw):
    ts, requests = NOW_MS, []
    for step, count, delay in draw(st.lists(steps, min_size=1, max_size=14)):
        for _ in range(count):
            ts += step
            requests.append((ts + delay, draw(st.sampled_from((1, 1, 1, 2))) if count < 3 else 1, ts))
    return sorted(requests, key=lambda request: request[0])


@settings(max_examples=40)
@given(histories())
def test_like_an_independent_recount(requests):
    assert run(Rates(), requests) == recount(requests)


@settings(max_examples=40)
@given(histories(), st.integers(0, 3000))
def test_a_worker_that_takes_up_what_was_counted_two_minutes_back_goes_on_the_same(requests, at):
    before, after = requests[:at], requests[at:]
    rates = Rates()
    found = run(rates, before)
    now = after[0][0] if after else NOW_MS
    since = (now // MINUTE_MS - 1) * MINUTE_MS
    successor = Rates()
    counted = [request for request, reason in zip(before, found, strict=True) if not reason and request[0] >= since]
    assert set(run(successor, counted)) <= {""}
    assert run(successor, after) == run(rates, after)


@settings(max_examples=40)
@given(histories())
def test_nobody_is_judged_by_others(requests):
    alone = defaultdict(list)
    for request, reason in zip(requests, run(Rates(), requests), strict=True):
        alone[request[1]].append((request, reason))
    for mine in alone.values():
        assert run(Rates(), [request for request, _ in mine]) == [reason for _, reason in mine]
