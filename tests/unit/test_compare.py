"""The gap between the other side's counts and ours is taken apart into what it is made of."""

import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.campaign import Campaign
from ledger.compare import Comparison, as_json, explained, read, table
from pixeltally.errors import Refused

FIRST = datetime(2026, 11, 20, tzinfo=UTC)
DAYS = [(FIRST + timedelta(days=each)).date() for each in range(4)]


def quarters(draw):
    """Ours, from a day before to a day after: quarter hour → valid, duplicates, invalid."""
    start = int(FIRST.timestamp()) - 86_400
    return {start + 900 * number: draw(number) for number in range(6 * 96)}


OURS = quarters(lambda number: (number % 7 + number // 96 * 3, number % 3, number % 2))


def theirs(ours, shift_s, definition):
    found = dict.fromkeys(DAYS, 0)
    for start, counts in ours.items():
        day = datetime.fromtimestamp(start + shift_s, UTC).date()
        if day in found:
            found[day] += sum(count * times for count, times in zip(counts, definition, strict=True))
    return found


def compared(counts, timezone="UTC", lost=0):
    return Comparison(Campaign("acme", "spring"), timezone, *explained(counts, OURS, timezone, lost))


@settings(max_examples=25)
@given(st.integers(-56, 56), st.sampled_from([(1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1)]))
def test_another_zone_and_another_definition_explain_all(shift, definition):
    found = compared(theirs(OURS, shift * 900, definition))
    assert found.unexplained == 0
    for day in found.days:
        assert day.theirs - day.ours == day.zone + day.duplicates + day.invalid
    if definition == (1, 0, 0) and shift:
        assert found.their_hours == shift / 4
        assert any(day.zone for day in found.days)


def test_what_is_lost_explains_no_more_than_was_lost():
    counts = theirs(OURS, 0, (1, 0, 0))
    counts[DAYS[1]] += 10
    counts[DAYS[2]] -= 5
    found = compared(counts, lost=7)
    by_day = {day.day: (day.loss, day.unexplained) for day in found.days}
    assert by_day == {DAYS[0]: (0, 0), DAYS[1]: (7, 3), DAYS[2]: (0, -5), DAYS[3]: (0, 0)}
    assert found.unexplained == 8
    assert table(found).splitlines()[6].split()[-2:] == ["7", "-2"]


def test_the_campaigns_own_zone_is_no_gap():
    found = compared(theirs(OURS, 3600, (1, 0, 0)), "Europe/Berlin")
    assert [day.zone for day in found.days] == [0] * 4
    assert found.their_hours == 1


def test_their_file():
    text = "Date;Placement;Impressions\n2026-11-20;a;1,000\n2026-11-20;b;5\n2026-11-21;a;7\n"
    days = {date(2026, 11, 20): 1005, date(2026, 11, 21): 7}
    assert read(io.StringIO(text), "acme/spring") == {Campaign("acme", "spring"): days}
    text = "day,advertiser,campaign,count\n2026-11-20,acme,spring,1\n2026-11-20,acme,autumn,2\n"
    assert [*read(io.StringIO(text), "")] == [Campaign("acme", "spring"), Campaign("acme", "autumn")]
    text = "day,campaign,count\n2026-11-20,acme/spring,1\n"
    assert [*read(io.StringIO(text), "")] == [Campaign("acme", "spring")]
    for text in ("", "date,clicks\n2026-11-20,1\n", "date,impressions\n", "date,impressions\nyesterday,1\n"):
        with pytest.raises(Refused):
            read(io.StringIO(text), "acme/spring")
    with pytest.raises(Refused, match="campaign"):
        read(io.StringIO("date,impressions\n2026-11-20,1\n"), "")


def test_programs_read_it_too():
    [said] = json.loads(as_json([compared(theirs(OURS, 0, (1, 1, 0)))]))
    assert (said["advertiser"], said["unexplained"], said["days"][0]["day"]) == ("acme", 0, "2026-11-20")
