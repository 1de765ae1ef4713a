"""The streams tier's counts equal the naive recount, whatever order, redelivery, lateness or crash comes."""

import json
import uuid
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest
import recount
from hypothesis import given, settings
from hypothesis import strategies as st

from pixeltally import packed
from pixeltally.errors import Refused
from pixeltally.hit import Fact
from pixeltally.partition import key, partitions
from pixeltally.settings import Settings
from streams.batch import Message, parse
from streams.enrich import Enricher
from streams.growth import Growth, growth
from streams.head import Head, Rules
from streams.tally import Tally

RULES = Rules(
    duplicate_window_ms=60_000,
    attribution_window_ms=300_000,
    lateness_ms=60_000,
    advertisers=frozenset({"acme", "zenith"}),
    max_units=3,
)
ENRICHER = Enricher(Settings.from_env({}))
ID = str(uuid.UUID(int=7))
START = 1_700_000_000_000 // RULES.memory_ms * RULES.memory_ms

facts_of = msgspec.json.Decoder(Fact).decode_lines


@pytest.fixture(scope="module", autouse=True)
def small_messages():
    """More than one correction doesn't fit into a message."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "MESSAGE_BYTES", 500)
        yield


@st.composite
def traffic(draw):
    """Messages of one partition: [(arrived, [hit])], from two nodes, with late, early and redelivered hits."""
    messages, shipped = [], {"a": [], "b": []}
    now = START + draw(st.integers(0, RULES.memory_ms))
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from([10, 1_000, 20_000, 61_000, 400_000]))
        node = draw(st.sampled_from(["a", "b"]))
        hits = []
        for _ in range(draw(st.integers(0, 6))):
            seq = len(shipped[node]) + draw(st.sampled_from([0] * 9 + [10**15]))
            age = draw(st.sampled_from([0, 0, 0, 500, 30_000, 59_999, 60_000, 150_000, 1_000_000, -50_000, -3_600_000]))
            hit = {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{node}{seq}")),
                "ts": now - age,
                "kind": draw(st.sampled_from(["impression", "impression", "open", "view", "click", "conversion"])),
                "advertiser": draw(st.sampled_from(["acme", "acme", "acme", "zenith", "unknown"])),
                "campaign": "spring",
                "creative": draw(st.sampled_from(["banner", "video"])),
                "visitor": draw(st.integers(0, 3)) << 62,
                "user_agent": draw(st.sampled_from(["", "", "", "curl/8.5.0"])),
                "node": node,
                "seq": seq,
            }
            if hit["kind"] == "conversion":
                hit |= {
                    "creative": "",
                    "order": draw(st.sampled_from(["", "1", "2"])),
                    "value": draw(st.sampled_from(["", "0.1", "0.2", "12.3456", "99999999999999.9999"])),
                }
            shipped[node].append(hit)
            hits.append(hit)
        again = draw(st.integers(0, 3))
        before = shipped[node][: len(shipped[node]) - len(hits)]
        messages.append((now, (before[-again:] if again else []) + hits))
    return messages


class Log:
    """What workers give out of a partition: its facts and the rows told, as a sink keeps them."""

    def __init__(self, partition=0, rules=RULES):
        self.partition = partition
        self.rules = rules
        self.facts = []
        self.rows = {}

    def restore(self):
        """A tally as `streams.restore` makes it."""
        if not self.facts:
            return Tally(self.partition, self.rules, ENRICHER, Head(-1, 0, 0))
        last = decoded(self.facts[-1][0])
        tally = Tally(self.partition, self.rules, ENRICHER, last)
        for head, value in self.facts:
            if decoded(head).arrived >= last.memory_start_ms(self.rules):
                tally.recall(decoded(head), value)
        return tally

    def count(self):
        """How many messages have been counted in."""
        return sum(not decoded(head).ahead for head, _ in self.facts)

    def apply(self, tally, offset, message, cut_short=False):
        """Count a message in; where the worker is killed while it sends, all but the last of what it says is there."""
        arrived, hits = message
        value = b"\n".join(json.dumps(hit).encode() for hit in hits)
        [(batch, dead)] = parse(ENRICHER, [Message(self.partition, offset, arrived, value)])
        assert not dead
        applied = tally.apply(batch)
        self.facts += [(msgspec.json.encode(head), corrections) for head, corrections in applied.ahead]
        if not cut_short:
            self.facts.append((msgspec.json.encode(tally.head), applied.facts))

    def tell(self, tally):
        for row in tally.tell():
            place = (row.minute, (row.advertiser, row.campaign, row.creative, row.placement), row.late)
            known = self.rows.get(place)
            if known is not None and known.version == row.version:
                assert known == row, "the same version must say the same"
            if known is None or known.version < row.version:
                self.rows[place] = row
        tally.told()


def decoded(head):
    return msgspec.json.decode(head, type=Head)


@settings(max_examples=400, deadline=None)
@given(traffic(), st.data())
def test_counts_equal_the_recount_through_crashes_and_two_workers_at_once(messages, data):
    log = Log()
    tally, stale = log.restore(), None
    for offset, message in enumerate(messages):
        event = data.draw(st.sampled_from(["go", "go", "tell", "crash", "lose", "cut short"]))
        if event == "tell":
            log.tell(tally)
        elif event == "crash":
            tally = log.restore()
        elif event == "lose":
            stale, tally = tally, log.restore()
        elif event == "cut short":
            log.apply(tally, offset, message, cut_short=True)
            tally = log.restore()
        log.apply(tally, offset, message)
        if stale is not None and stale.head.offset == offset - 1 and data.draw(st.booleans()):
            log.apply(stale, offset, message)
            log.tell(stale)
    log.tell(log.restore())
    log.tell(tally)
    check([log], messages, RULES)


@pytest.mark.parametrize("cut_short", [False, True])
@pytest.mark.parametrize("told", [(), (0,), (0, 1, 2)])
@pytest.mark.parametrize("later_ms", [200_020, 290_000])
def test_corrections_that_take_several_messages_are_taken_up(cut_short, told, later_ms):
    """Also where the clicks' minutes have been closed and told."""

    def hit(seq, kind, ts, node="a"):
        id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{node}{seq}"))
        unit = {"advertiser": "acme", "campaign": "spring", "creative": "banner", "visitor": 1, "user_agent": ""}
        return unit | {"id": id, "ts": ts, "kind": kind, "node": node, "seq": seq}

    now = START + RULES.memory_ms // 2
    clicks = [hit(seq, "click", now + 61_000 * seq) for seq in range(4)]
    messages = [
        (now + 200_000, clicks),
        (now + later_ms, [hit(0, "impression", now - 1000, "b")]),
        (now + later_ms + 40, [hit(1, "impression", now - 500, "b"), hit(2, "click", now + later_ms, "b")]),
    ]
    log = Log()
    tally = log.restore()
    for offset, message in enumerate(messages):
        if cut_short:
            log.apply(tally, offset, message, cut_short=True)
            tally = log.restore()
        log.apply(tally, offset, message)
        if offset in told:
            log.tell(tally)
    log.tell(log.restore())
    assert log.count() == 3
    assert len(log.facts) >= 3 + 2 * 3, "corrections, a message each"
    check([log], messages, RULES)


def check(logs, messages, rules):
    expected = recount.judge(
        messages,
        rules.duplicate_window_ms,
        rules.attribution_window_ms,
        rules.memory_ms,
        advertisers=rules.advertisers,
        max_units=rules.max_units,
        rule=lambda hit: "non-browser" if hit["user_agent"] else "valid",
    )
    given_out = {}
    for _, value in (each for log in logs for each in log.facts):
        for fact in facts_of(value):
            found = (fact.verdict, fact.duplicate, fact.impression_id if fact.kind == "click" else fact.click_id)
            known = given_out.get(fact.id)
            if known and known[0] == fact.version:
                assert known[1] == found, "the same version must say the same"
            if not known or fact.version >= known[0]:
                given_out[fact.id] = (fact.version, found)
    given_out = {id: found for id, (_, found) in given_out.items()}
    assert given_out == {id: found[1:] for id, found in expected.items()}
    late = {(minute, unit) for log in logs for minute, unit, is_late in log.rows if is_late}
    told = defaultdict(list)
    for log in logs:
        for (minute, unit, is_late), row in log.rows.items():
            if not is_late:
                told[minute, unit].append(row)
    counts = recount.minutes(expected)
    for place, row in counts.items():
        if place not in late:
            found = {name: sum(Decimal(getattr(part, name)) for part in told[place]) for name in row}
            assert found == row, place
    assert set(told) | late == set(counts)
    assert late <= out_of_time(messages, expected)


def out_of_time(messages, expected):
    """Minutes that have a hit which came after their close, or from a clock that ran ahead, or a click corrected."""
    result, newest, shipped = set(), 0, set()
    order = {hit["id"]: index for index, (_, hits) in reversed([*enumerate(messages)]) for hit in hits}
    for arrived, hits in messages:
        fresh = [hit for hit in hits if (hit["node"], hit["seq"]) not in shipped]
        for hit in fresh:
            shipped.add((hit["node"], hit["seq"]))
            minute = hit["ts"] // 60_000 * 60_000
            closed = minute + 60_000 + RULES.lateness_ms <= newest
            leader = expected[hit["id"]][3]
            if closed or hit["ts"] > arrived + 60_000 or order.get(leader, -1) > order[hit["id"]]:
                unit = (hit["advertiser"], "spring", hit["creative"], "")
                folded = ("~unregistered", "~unregistered", "~unregistered", "")
                result.add((minute // 1000, folded if expected[hit["id"]][1] == "unregistered" else unit))
        newest = max([newest, *(hit["ts"] for hit in fresh if hit["ts"] <= arrived)])
    return result


def test_an_old_log_between_two_requests_does_not_make_both_count():
    tally = Tally(0, RULES, ENRICHER, Head(-1, 0, 0))

    def duplicates(offset, *times):
        hits = [
            {
                "id": str(uuid.UUID(int=ts)), "ts": ts, "kind": "impression", "advertiser": "acme",
                "campaign": "spring", "visitor": 1, "node": f"node-{offset}", "seq": seq,
            }
            for seq, ts in enumerate(times)
        ]  # fmt: skip
        value = b"\n".join(json.dumps(hit).encode() for hit in hits)
        [(batch, _)] = parse(ENRICHER, [Message(0, offset, START, value)])
        return [fact.duplicate for fact in facts_of(tally.apply(batch).facts)]

    assert duplicates(0, START) == [False]
    day = START - 86_400_000
    assert duplicates(1, day, day + 59_999, day + 60_000, day + 180_000) == [False, True, False, False]
    assert duplicates(2, START + 59_999) == [True]
    assert duplicates(3, day + 119_999, day + 120_000, day + 120_001) == [True, False, True]
    assert duplicates(4, START + 60_000) == [False]


GROWTH = Growth(1, 3)
MANY_UNITS = replace(RULES, max_units=1000)


def grown(log, parent, began):
    """The tally of a partition that others' visitors have moved to, as `streams.restore` makes it."""
    if log.facts:
        head = decoded(log.facts[-1][0])
    else:
        theirs = decoded(parent.facts[-1][0])
        head = Head(-1, min(theirs.arrived, began), theirs.watermark, told_watermark=theirs.told_watermark, base=1000)
    start = head.memory_start_ms(MANY_UNITS)
    tally = Tally(log.partition, MANY_UNITS, ENRICHER, head)
    for raw, value in parent.facts:
        if start <= decoded(raw).arrived < began:
            tally.inherit(decoded(raw), value, lambda lines: GROWTH.moved(lines, log.partition))
    for raw, value in log.facts:
        if decoded(raw).arrived >= start:
            tally.recall(decoded(raw), value)
    return tally


@settings(max_examples=200, deadline=None)
@given(traffic(), traffic(), st.data())
def test_counts_equal_the_recount_where_visitors_move_to_more_partitions(before, after, data):
    give_each_visitor_orders_of_its_own(before + after)
    shift = before[-1][0] + 1 - START
    after = [
        (arrived + shift, [hit | {"ts": hit["ts"] + shift, "node": "c" + hit["node"]} | other(hit) for hit in hits])
        for arrived, hits in after
    ]
    if data.draw(st.booleans()):  # what was shipped last and not acknowledged comes again, to where it belongs now
        known = {(hit["node"], hit["seq"]) for _, hits in before[:-1] for hit in hits}
        last = [hit for hit in before[-1][1] if (hit["node"], hit["seq"]) not in known]
        after.insert(0, (after[0][0] - 1, last))
    logs = [Log(partition, MANY_UNITS) for partition in range(GROWTH.after)]
    tallies = {0: logs[0].restore()}
    for offset, message in enumerate(before):
        logs[0].apply(tallies[0], offset, message)
        if data.draw(st.booleans()):
            logs[0].tell(tallies[0])
    began, came = {}, []
    for log, arrived, here in pieces(after, GROWTH.after, data.draw(st.booleans())):
        began.setdefault(log, arrived)
        came.append((arrived, here))
        if log not in tallies or data.draw(st.integers(0, 3)) == 0:
            tallies[log] = logs[0].restore() if log == 0 else grown(logs[log], logs[0], began[log])
        logs[log].apply(tallies[log], logs[log].count(), (arrived, here))
        if data.draw(st.booleans()):
            logs[log].tell(tallies[log])
    for partition, tally in tallies.items():
        logs[partition].tell(tally)
    check(logs, before + came, MANY_UNITS)


@settings(max_examples=150, deadline=None)
@given(traffic(), st.integers(1, 8), st.data())
def test_counts_equal_the_recount_over_one_to_eight_partitions(messages, count, data):
    give_each_visitor_orders_of_its_own(messages)
    logs = [Log(partition, MANY_UNITS) for partition in range(count)]
    tallies, stale, offsets, came = [log.restore() for log in logs], [None] * count, [0] * count, []
    for partition, arrived, hits in pieces(messages, count, data.draw(st.booleans())):
        log, offset, message = logs[partition], offsets[partition], (arrived, hits)
        offsets[partition] += 1
        came.append(message)
        event = data.draw(st.sampled_from(["go", "go", "tell", "crash", "lose", "rebalance", "cut short"]))
        if event == "tell":
            log.tell(tallies[partition])
        elif event == "crash":
            tallies[partition] = log.restore()
        elif event == "lose":
            stale[partition], tallies[partition] = tallies[partition], log.restore()
        elif event == "rebalance":
            tallies = [each.restore() for each in logs]
        elif event == "cut short":
            log.apply(tallies[partition], offset, message, cut_short=True)
            tallies[partition] = log.restore()
        log.apply(tallies[partition], offset, message)
        last = stale[partition]
        if last is not None and last.head.offset == offset - 1 and data.draw(st.booleans()):
            log.apply(last, offset, message)
            log.tell(last)
    for log, tally in zip(logs, tallies, strict=True):
        log.tell(log.restore())
        log.tell(tally)
    check(logs, came, MANY_UNITS)


def give_each_visitor_orders_of_its_own(messages):
    """An order converts once within a partition: so it must be one visitor's."""
    for hit in {id(hit): hit for _, hits in messages for hit in hits}.values():  # one that came again is the same
        if hit.get("order"):
            hit["order"] += f" of {hit['visitor']}"


def pieces(messages, count, delayed):
    """(partition, arrived, hits) of each partition's part of each message, in order; new partitions' may be delayed."""
    found = []
    for number, (arrived, hits) in enumerate(messages):
        keys = [key(hit["advertiser"], hit["campaign"], hit["visitor"]) for hit in hits]
        here = {}
        for hit, partition in zip(hits, partitions(keys, count), strict=True):
            here.setdefault(partition, []).append(hit)
        later = messages[number + 1][0] if delayed and number + 1 < len(messages) else arrived
        found += [(partition, later if partition else arrived, part) for partition, part in here.items()]
    return sorted(found, key=lambda piece: (piece[1], piece[0]))


def other(hit):
    """What makes it another hit."""
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, "c" + hit["id"]))}


def test_growth_is_refused_where_counts_can_not_be_carried_over():
    assert growth([4, 0, 4], 4) is None
    assert growth([2, 4, 0], 4) == Growth(2, 4)
    with pytest.raises(Refused, match=r"from 4 partitions to 6.* to 8 partitions"):
        growth([4], 6)
    with pytest.raises(Refused, match="again, from 2 by 4 to 8"):
        growth([2, 4], 8)


def test_a_line_that_is_no_hit_goes_to_the_dead_and_the_others_count():
    good = {
        "id": str(uuid.UUID(int=7)),
        "ts": START,
        "kind": "impression",
        "advertiser": "a",
        "campaign": "b",
        "visitor": 1,
    }
    value = b'{"id":\n\xff\xfe\n' + json.dumps({**good, "node": "n", "seq": 1}).encode() + b'\n{"ts":"x"}'
    [(batch, dead)] = parse(ENRICHER, [Message(2, 7, START, value)])
    assert len(batch) == 1
    assert [(each.reason, each.origin) for each in dead] == [
        ("not-a-hit", "pixeltally.hits/2@7#0"),
        ("not-a-hit", "pixeltally.hits/2@7#1"),
        ("not-a-hit", "pixeltally.hits/2@7#3"),
    ]


def test_made_up_names_hold_no_memory_and_make_room_when_they_are_forgotten():
    tally = Tally(0, RULES, ENRICHER, Head(-1, 0, 0))
    units = [f"made-up-{n}" for n in range(5000)]

    def verdicts(offset, arrived):
        lines = [
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, unit)),
                "ts": arrived,
                "kind": "impression",
                "advertiser": "acme",
                "campaign": unit,
                "visitor": 1,
            }
            for unit in units
        ]
        value = b"\n".join(
            json.dumps({**line, "node": "n", "seq": offset * 5000 + n}).encode() for n, line in enumerate(lines)
        )
        [(batch, _)] = parse(ENRICHER, [Message(0, offset, arrived, value)])
        return [fact.verdict for fact in facts_of(tally.apply(batch).facts)]

    assert verdicts(0, START) == ["valid"] * 3 + ["unregistered"] * 4997
    assert [(row.gross, row.invalid, row.valid) for row in tally.tell() if row.advertiser.startswith("~")] == [
        (4997, 4997, 0)
    ]
    assert verdicts(1, START + RULES.memory_ms) == ["valid"] * 3 + ["unregistered"] * 4997
    units.reverse()
    assert verdicts(2, START + 3 * RULES.memory_ms) == ["valid"] * 3 + ["unregistered"] * 4997


@pytest.mark.parametrize("value", ["12,5", "-1", "1e3", "1.23456", "123456789012345", "NaN", "\u0661", "1\n"])
def test_a_value_that_is_no_exact_decimal_is_no_hit(value):
    hit = {
        "id": str(uuid.UUID(int=7)),
        "ts": START,
        "kind": "conversion",
        "advertiser": "a",
        "campaign": "b",
        "visitor": 1,
    }
    line = json.dumps({**hit, "node": "n", "seq": 1, "value": value}).encode()
    [(batch, dead)] = parse(ENRICHER, [Message(0, 0, START, line)])
    assert (len(batch), [each.reason for each in dead]) == (0, ["not-a-hit"])


def test_a_thousand_imports_are_known_and_not_carried_on_every_message():
    log = Log()
    tally = log.restore()

    def message(node, arrived):
        hit = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, node)), "ts": START, "kind": "impression", "advertiser": "acme",
            "campaign": "spring", "creative": "banner", "visitor": 1, "node": node, "seq": 7,
        }  # fmt: skip
        return arrived, [hit]

    for number in range(1000):
        log.apply(tally, number, message(f"import-{number}", START))
    assert max(len(head) for head, _ in log.facts) < 500
    later = START + 5 * RULES.memory_ms
    log.apply(tally, 1000, message("node", later))
    log.apply(tally, 1001, message("node", later))
    for taken_up in (tally, log.restore()):
        for number in (0, 999):
            [(batch, _)] = parse(
                ENRICHER, [Message(0, 1002 + number, later, json.dumps(message(f"import-{number}", 0)[1][0]).encode())]
            )
            assert taken_up.apply(batch).hits == 0


def test_a_minute_that_stays_open_while_its_ad_unit_is_forgotten_is_one_row():
    log = Log()
    tally = log.restore()

    def hit(seq, visitor):
        return {
            "id": str(uuid.UUID(int=seq)), "ts": START, "kind": "impression", "advertiser": "acme",
            "campaign": "spring", "creative": "banner", "visitor": visitor, "node": "n", "seq": seq,
        }  # fmt: skip

    log.apply(tally, 0, (START, [hit(0, 1)]))
    for offset in range(1, 4):  # nothing comes that would move the watermark
        log.apply(tally, offset, (START + offset * RULES.memory_ms, []))
    log.apply(tally, 4, (START + 4 * RULES.memory_ms, [hit(1, 2)]))
    assert [(row.gross, row.uniques) for row in tally.tell()] == [(2, 2)]
