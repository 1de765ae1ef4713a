"""The auditor's judgement of a request by what came before it, and the one of streams, written apart, are the same."""

import json
import uuid

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import history
from audit.asking import NOBODY, Asked
from audit.history import History, Judged
from pixeltally.hit import Fact, Hit
from pixeltally.settings import Settings
from streams import rate
from streams.batch import Message, parse
from streams.enrich import Enricher
from streams.head import Head, Rules
from streams.rules import ORDER
from streams.tally import Tally

RULES = Rules(duplicate_window_ms=60_000, attribution_window_ms=120_000, lateness_ms=60_000)
WINDOWS = {"duplicate_window_s": "60", "attribution_window_s": "120"}
ENRICHER = Enricher(Settings.from_env({}))
START = 1_700_000_000_000 // RULES.memory_ms * RULES.memory_ms

facts_of = msgspec.json.Decoder(Fact).decode_lines


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Rates that so few hits can be over."""
    for module in (history, rate):
        monkeypatch.setattr(module, "MOST_A_MINUTE", 8)
        monkeypatch.setattr(module, "MOST_A_SECOND", 4)


@st.composite
def messages(draw):
    """Of one campaign and partition: [(arrived, [hit])]."""
    now, found, seq = START + draw(st.integers(0, RULES.memory_ms)), [], 0
    for _ in range(draw(st.integers(1, 14))):
        now += draw(st.sampled_from([0, 10, 90, 1000, 30_000, 59_000, 61_000, 150_000, 400_000]))
        hits = []
        for _ in range(draw(st.integers(1, 8))):
            seq += 1
            kind = draw(st.sampled_from(["impression", "impression", "impression", "open", "click", "conversion"]))
            unit = "" if kind == "conversion" else draw(st.sampled_from(["banner", "banner", "video"]))
            order = draw(st.sampled_from(["", "A", "B"])) if kind == "conversion" else ""
            ts = now - draw(
                st.sampled_from([0, 0, 0, 5, 99, 100, 500, 59_999, 60_000, 119_999, 120_000, 500_000, -40_000])
            )
            agent = draw(st.sampled_from(["", "", "", "curl/8.5.0"]))
            hits.append(
                Hit(
                    str(uuid.UUID(int=seq)), ts, kind, "acme", "spring", draw(st.integers(0, 2)), "n", seq,
                    creative=unit, order=order, user_agent=agent,
                )
            )  # fmt: skip
        found.append((now, hits))
    return found


@settings(max_examples=150)
@given(messages())
def test_both_judge_alike(told):
    tally, judge, facts, judged = Tally(0, RULES, ENRICHER, Head(-1, 0, 0)), History(ORDER), {}, {}
    for offset, (arrived, hits) in enumerate(told):
        value = b"\n".join(map(msgspec.json.encode, hits))
        [(counted, _)] = parse(ENRICHER, [Message(0, offset, arrived, value)])
        for fact in facts_of(tally.apply(counted).facts):
            facts[fact.seq] = fact
        batch = [judgement(hit) for hit in hits]
        judge.apply(arrived, batch, WINDOWS)
        judged |= {hit.seq: hit for hit in batch}
    for seq, fact in facts.items():
        ours = judged[seq]
        assert (ours.verdict, ours.duplicate) == (fact.verdict, fact.duplicate), json.dumps(msgspec.to_builtins(fact))
        assert ours.attributed == (fact.kind == "click" and bool(fact.impression_id))


def judgement(hit):
    who = str(hit.visitor) if hit.visitor else NOBODY
    asked = Asked(
        hit.ts, hit.kind, hit.advertiser, hit.campaign, hit.creative, "", who, "", hit.user_agent, "", hit.order
    )
    [ruling] = ENRICHER.judge_all([hit.kind], [hit.ip], [hit.user_agent], [""])
    return Judged(asked, hit.node, hit.seq, {*ruling.reasons}, "", ("", False), False, False)
