"""Rates: limits that are exact, and a count that depends on the last two minutes' messages alone."""

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.rate import BURST, MINUTE_MS, MOST_A_MINUTE, MOST_A_SECOND, RATE, Rates

NOW_MS = 1_764_000_000_000 // MINUTE_MS * MINUTE_MS


class Hits(NamedTuple):
    """The columns that rates are told of: requests of one campaign, all of them counted."""

    visitors: np.ndarray
    times: np.ndarray
    campaigns: np.ndarray
    pixels: np.ndarray

    def __len__(self):
        return self.times.size


def count(rates, requests):
    """Count [(visitor, ts)] in, as far as none is over a limit; the reasons."""
    visitors, times = np.array(requests, np.int64).reshape(len(requests), 2).T.copy()
    hits = Hits(visitors, times, np.ones_like(times), np.zeros_like(times))
    over = rates.over(hits)
    verdicts = np.array([index in over for index in range(len(requests))], np.int64)
    rates.count(hits, verdicts, np.zeros(len(requests), bool))
    return [over.get(index, "") for index in range(len(requests))]


def run(rates, messages):
    """The reasons of each message [(arrived, [(visitor, ts)])], as a tally asks for them."""
    found = []
    for arrived, requests in messages:
        rates.turn(arrived)
        found.append(count(rates, requests))
    return found


def recount(messages):
    """The same, naively: all that was counted or found stands in lists that are gone through each time."""
    counted, over, found = [], [], []
    for arrived, requests in messages:
        span = arrived // 60_000
        told = []
        for visitor, ts in requests:
            mine = [each for each in over if each[1:3] == (visitor, ts // 60_000) and span - 1 <= each[0] <= span]
            # Of two limits, the rate says more; what was found last stands before what was found a span ago.
            told.append(max(mine)[3] if mine else "")
        found.append(told)
        fresh = [request for request, reason in zip(requests, told, strict=True) if not reason]
        known = [[span, visitor, ts, False] for visitor, ts in fresh]
        counted += known
        for each in known:
            _, visitor, ts, _ = each
            near = [
                one for one in counted if one[1] == visitor and span - 1 <= one[0] and one[2] // 60_000 == ts // 60_000
            ]
            total = len(near)
            if total <= 200:
                continue
            each[3] = True
            if total > 1000:
                over.append((span, visitor, ts // 60_000, "rate"))
            elif sum(one[3] and one[2] // 1000 == ts // 1000 for one in near) > 200:
                over.append((span, visitor, ts // 60_000, "burst"))
    return found


def one_by_one(requests):
    """Each request a message of its own, which arrives at its time."""
    return [(ts, [(visitor, ts)]) for visitor, ts in requests]


def test_a_thousand_in_a_minute_are_let_through():
    found = run(Rates(), one_by_one([(7, NOW_MS + n * 50) for n in range(1200)]))
    assert found == [[""]] * (MOST_A_MINUTE + 1) + [[RATE]] * 199
    assert {reason for [reason] in run(Rates(), one_by_one([(7, NOW_MS + n * 60) for n in range(5000)]))} == {""}


def test_two_hundred_in_a_second_are_let_through_after_the_first_of_a_minute():
    found = run(Rates(), one_by_one([(7, NOW_MS + n * 2) for n in range(600)]))
    assert found == [[""]] * (2 * MOST_A_SECOND + 1) + [[BURST]] * (600 - 2 * MOST_A_SECOND - 1)
    steady = one_by_one([(7, NOW_MS + n * 1000 // MOST_A_SECOND) for n in range(MOST_A_MINUTE)])
    assert {reason for [reason] in run(Rates(), steady)} == {""}


def test_who_is_over_is_so_from_the_next_message_to_the_end_of_the_minute():
    crowd = [(7, NOW_MS + n) for n in range(900)]
    later = [(7, NOW_MS + 59_999), (8, NOW_MS), (7, NOW_MS + MINUTE_MS)]
    assert run(Rates(), [(NOW_MS, crowd), (NOW_MS, later)]) == [[""] * 900, [BURST, "", ""]]


def test_a_day_old_log_that_comes_within_a_second_is_judged_by_its_own_time():
    log = [(7, NOW_MS - 86_400_000 + n * 1000) for n in range(20_000)]
    found = run(Rates(), [(NOW_MS, log[n : n + 1000]) for n in range(0, len(log), 1000)])
    assert {reason for reasons in found for reason in reasons} == {""}


def test_a_page_full_of_ads_for_everybody_behind_an_address_is_no_burst():
    pages = [(7, NOW_MS + n) for n in range(156)]
    assert run(Rates(), [(NOW_MS, pages), (NOW_MS + 1000, pages[:1])]) == [[""] * 156, [""]]


@st.composite
def histories(draw):
    """Messages of crowds: within a burst, within a minute, over minutes, in order or not, arriving late or not."""
    now, messages = NOW_MS, []
    for _ in range(draw(st.integers(1, 8))):
        step, size = draw(st.sampled_from((0, 1, 3, 40))), draw(st.sampled_from((1, 5, 199, 350)))
        back = draw(st.sampled_from((0, 0, 0, 30_000, 61_000)))
        now += draw(st.sampled_from((0, 700, 20_000, 60_000)))
        others = draw(st.integers(2, 400))
        messages.append((now, [(7 if n % others else 8, now - back + n * step) for n in range(size)]))
    return messages


@settings(max_examples=25)
@given(histories())
def test_like_an_independent_recount(messages):
    assert run(Rates(), messages) == recount(messages)


@settings(max_examples=50)
@given(histories(), st.integers(0, 8))
def test_a_worker_that_takes_up_what_was_counted_two_minutes_back_goes_on_the_same(messages, at):
    before, after = messages[:at], messages[at:]
    rates, successor = Rates(), Rates()
    found = run(rates, before)
    now = after[0][0] if after else NOW_MS
    for (arrived, requests), reasons in zip(before, found, strict=True):
        if arrived >= (now // MINUTE_MS - 1) * MINUTE_MS:
            counted = [request for request, reason in zip(requests, reasons, strict=True) if not reason]
            successor.turn(arrived)
            count(successor, counted)
    assert run(successor, after) == run(rates, after)


@settings(max_examples=50)
@given(histories())
def test_nobody_is_judged_by_others(messages):
    found = run(Rates(), messages)
    for me in (7, 8):
        mine = [(arrived, [request for request in requests if request[0] == me]) for arrived, requests in messages]
        told = [
            [reason for (visitor, _), reason in zip(requests, reasons, strict=True) if visitor == me]
            for (_, requests), reasons in zip(messages, found, strict=True)
        ]
        assert run(Rates(), mine) == told
