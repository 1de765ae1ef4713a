"""The hits that streams are measured with are such as ingest ships."""

import msgspec
import pytest

from bench.hits import Traffic, again
from pixeltally.hit import Hit
from pixeltally.partition import key, partitions

START_MS, SPAN_MS = 1_764_000_000_000, 300_000

hits_of = msgspec.json.Decoder(Hit).decode_lines


@pytest.fixture(scope="module")
def messages():
    return list(Traffic(2000).messages(20_000, START_MS, SPAN_MS))


def test_each_line_is_what_our_encoder_writes(messages):
    for _, value in messages:
        assert b"\n".join(map(msgspec.json.encode, hits_of(value))) == value


def test_each_hit_stands_in_its_partition_in_order(messages):
    for partition, value in messages:
        hits = hits_of(value)
        assert {*partitions([key(hit.advertiser, hit.campaign, hit.visitor) for hit in hits], 4)} == {partition}
        assert [hit.seq for hit in hits] == sorted(hit.seq for hit in hits)
        assert all(START_MS <= hit.ts < START_MS + SPAN_MS for hit in hits)


def test_every_hit_is_another_one(messages):
    values = [value for _, value in messages]
    hits = [hit for value in values + [again(value, 1, 7) for value in values] for hit in hits_of(value)]
    assert len(hits) == len({hit.id for hit in hits}) == len({(hit.node, hit.seq) for hit in hits}) == 40_000
    assert [hit.ts + 7 for hit in hits[:20_000]] == [hit.ts for hit in hits[20_000:]]


def test_clicks_follow_impressions_and_conversions_name_clicks(messages):
    hits = [hit for _, value in messages for hit in hits_of(value)]
    seen = {(hit.campaign, hit.creative, hit.placement, hit.visitor) for hit in hits if hit.kind == "impression"}
    clicks = [hit for hit in hits if hit.kind == "click"]
    orders = [hit for hit in hits if hit.kind == "conversion"]
    assert 50 < len(clicks) < 200
    assert 5 < len(orders) < 50
    followed = sum((hit.campaign, hit.creative, hit.placement, hit.visitor) in seen for hit in clicks)
    assert followed > 0.9 * len(clicks)
    assert {hit.click_id for hit in orders} - {""} <= {hit.id for hit in clicks}


def test_a_crowd_may_come_once_each_save_who_clicks():
    found = Traffic(5000, each_once=True).messages(5000, START_MS, SPAN_MS)
    assert 4900 < len({hit.visitor for _, value in found for hit in hits_of(value)}) <= 5000
