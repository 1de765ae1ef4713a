"""What the demo sends: real impressions at the asked rate, seen by visitors who come back."""

import io
import re
import tarfile
from collections import Counter, defaultdict
from ipaddress import ip_address
from itertools import islice, pairwise, takewhile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local import impressions, traffic
from local.impressions import Impression
from local.traffic import Kind, Request
from local.visitors import Visitor
from pixeltally.hit import NAME_PATTERN

ROWS = impressions.read()


def run(rate: float, seconds: float, seed: str = "seed") -> list[Request]:
    plan = traffic.plan(ROWS, rate, traffic.block_s(seconds), seed)
    return list(takewhile(lambda request: request.at_s < seconds, plan))


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """A minute at 1,200 a second: more than the 60,000 impressions, so that they start again."""
    return run(rate=1200, seconds=60)


def test_the_data_are_the_dataset() -> None:
    assert len(ROWS) == 60_000
    assert sum(row.click for row in ROWS) == 287
    assert Counter(row.campaign for row in ROWS) == dict.fromkeys(impressions.CAMPAIGNS, 10_000)
    assert sorted(ROWS) == ROWS


def test_extraction_gives_the_same_bytes(tmp_path: Path) -> None:
    archive = tmp_path / "obp.tar.gz"
    with tarfile.open(archive, "w:gz") as files:
        for campaign in impressions.CAMPAIGNS:
            policy, clothes = campaign.split("-")
            text = b",timestamp,item_id,position,click,more\n0,2019-11-24 00:00:17.004101+00:00,79,2,1,x\n"
            member = tarfile.TarInfo(f"obp-0.5.7/obp/dataset/obd/{policy}/{clothes}/{clothes}.csv")
            member.size = len(text)
            files.addfile(member, io.BytesIO(text))
    for name in ("once", "twice"):
        impressions.extract(archive, tmp_path / name)
    assert (tmp_path / "once").read_bytes() == (tmp_path / "twice").read_bytes()
    assert impressions.read(tmp_path / "once") == [
        Impression(1574553617004, campaign, 79, 2, True) for campaign in sorted(impressions.CAMPAIGNS)
    ]


def test_names_are_valid(requests: list[Request]) -> None:
    for unit in {request.unit for request in requests if request.kind != "broken tag"}:
        assert len(unit.split("/")) == (3 if "newsletter" in unit else 4)
        assert all(re.fullmatch(NAME_PATTERN, name) for name in unit.split("/"))


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(1, 3000), seconds=st.floats(1, 25), seed=st.text(max_size=5))
def test_rate_is_reached_in_order(rate: float, seconds: float, seed: str) -> None:
    requests = run(rate, seconds, seed)
    assert [request.n for request in requests] == list(range(len(requests)))
    assert all(earlier.at_s <= later.at_s for earlier, later in pairwise(requests))
    # A last block's end may lie a rounding error before the run's.
    assert sum(request.kind == "impression" for request in requests) == pytest.approx(rate * seconds, abs=1.5)


def test_real_bursts_remain(requests: list[Request]) -> None:
    per_second = Counter(int(request.at_s) for request in requests)
    assert max(per_second.values()) > 1.3 * 1200
    assert min(per_second.values()) < 0.7 * 1200


def test_same_seed_same_requests() -> None:
    assert run(50, 20, "a") == run(50, 20, "a")
    assert {each.visitor for each in run(50, 20, "a")}.isdisjoint(each.visitor for each in run(50, 20, "b"))


def test_most_visitors_see_an_ad_once_or_twice_and_few_many_times(requests: list[Request]) -> None:
    seen = Counter(request.visitor for request in requests if request.kind == "impression")
    frequencies = Counter(seen.values())
    assert 0.45 < frequencies[1] / len(seen) < 0.65
    assert 0.65 < (frequencies[1] + frequencies[2]) / len(seen) < 0.85
    assert max(seen.values()) > 50
    assert 0.35 < len(seen) / seen.total() < 0.45


def test_addresses_are_public_and_one_visitor_each(requests: list[Request]) -> None:
    visitors = {request.visitor for request in requests if request.kind == "impression"}
    addresses = [ip_address(visitor.ip) for visitor in visitors]
    assert len(set(addresses)) == len(visitors)
    assert all(address.is_global and not address.is_multicast for address in addresses)
    v6 = {address.exploded[:19] for address in addresses if address.version == 6}
    assert len(v6) == sum(address.version == 6 for address in addresses)
    assert len(v6) / len(visitors) == pytest.approx(0.25, abs=0.02)


def test_agents_are_used_by_their_shares(requests: list[Request]) -> None:
    visitors = {request.visitor for request in requests if request.kind == "impression"}
    agents = Counter(visitor.user_agent for visitor in visitors)
    assert len(agents) > 500
    assert agents.most_common(1)[0][1] > 5 * agents.total() / len(agents)


def test_a_click_follows_its_impression(requests: list[Request]) -> None:
    seen: dict[tuple[str, str], float] = {}
    delays, banners = [], 0
    for request in requests:
        place = (request.unit, request.visitor.name)
        if request.kind == "click":
            delays.append(request.at_s - seen[place])
            banners += not request.visitor.subscriber
        elif request.kind in ("impression", "open"):
            seen[place] = request.at_s
    assert banners / sum(request.kind == "impression" for request in requests) == pytest.approx(287 / 60_000, rel=0.15)
    assert all(0 < delay <= 300 for delay in delays)
    assert 4 < sorted(delays)[len(delays) // 2] < 8


def test_e_mails_are_opened_by_services_and_by_people_who_click_themselves(requests: list[Request]) -> None:
    opens = [request for request in requests if request.kind == "open"]
    assert len(opens) / len(requests) == pytest.approx(0.05, abs=0.01)
    assert all(request.unit.startswith("zozo/newsletter/") and request.visitor.subscriber for request in opens)
    readers = {request.visitor.subscriber: request.visitor for request in opens}
    assert len(readers) > 1_000
    agents = Counter(visitor.user_agent for visitor in readers.values())
    assert agents["Mozilla/5.0"] / len(readers) == pytest.approx(0.4, abs=0.05)
    assert sum(each for agent, each in agents.items() if "ImageProxy" in agent) / len(readers) == pytest.approx(
        0.35, abs=0.05
    )
    clicks = [request for request in requests if request.kind == "click" and request.visitor.subscriber]
    assert len(clicks) / len(opens) == pytest.approx(0.08, abs=0.02)
    assert not any("Proxy" in request.visitor.user_agent for request in clicks)


def test_some_tags_name_no_ad_unit(requests: list[Request]) -> None:
    broken = [request for request in requests if request.kind == "broken tag"]
    assert len(broken) / len(requests) == pytest.approx(0.005, rel=0.2)
    names = {name for request in broken for name in request.unit.split("/")[2:]}
    assert not any(re.fullmatch(NAME_PATTERN, name) for name in names)


def test_orders_follow_clicks() -> None:
    requests, clicked, orders = run(rate=1000, seconds=180), defaultdict(list), 0
    for request in requests:
        place = (request.unit, request.visitor)
        if request.kind == "click":
            clicked[place].append(request.at_s)
        elif request.kind == "conversion":
            orders += 1
            assert any(3 <= request.at_s - at_s <= 600 for at_s in clicked[place])
    assert 0.1 < orders / len([request for request in requests if request.kind == "click"]) < 0.2


def test_reloads_make_some_duplicates(requests: list[Request]) -> None:
    last: dict[tuple[str, str], float] = {}
    duplicates = 0
    for request in requests:
        place = (request.unit, request.visitor.name)
        if request.at_s - last.get(place, -60) < 60:
            duplicates += 1
        else:
            last[place] = request.at_s
    assert 0.02 < duplicates / len(requests) < 0.08


def test_the_plan_has_no_end() -> None:
    plan = traffic.plan(ROWS[:10], 100, 10, "seed")
    assert len(list(islice(plan, 5_000))) == 5_000


def test_wire_of_an_impression() -> None:
    visitor = Visitor("93.184.215.14", "Agent/1.0")
    wire = traffic.Wire("127.0.0.1:8080", "run1", lambda unit, target: f"{unit}>{target}")
    lines = wire(Request(7, 0.5, "impression", "zozo/bts-men/item-12/left", visitor)).decode().split("\r\n")
    assert lines[0] == "GET /p/zozo/bts-men/item-12/left.gif?demo=run1&n=7 HTTP/1.1"
    assert "Host: 127.0.0.1:8080" in lines
    assert "X-Forwarded-For: 93.184.215.14" in lines
    assert "User-Agent: Agent/1.0" in lines
    assert lines[-2:] == ["", ""]


def test_wire_of_a_click_is_signed() -> None:
    visitor = Visitor("93.184.215.14", "Agent/1.0")
    wire = traffic.Wire("127.0.0.1:8080", "run1", lambda unit, target: f"{unit}>{target}".replace("/", "-"))
    path = urlsplit(wire.path(Request(8, 0.5, "click", "zozo/bts-men/item-12/left", visitor)))
    assert path.path == "/c/zozo/bts-men/item-12/left"
    assert parse_qs(path.query) == {
        "to": ["https://shop.example/item-12"],
        "k": ["zozo-bts-men-item-12-left>https:--shop.example-item-12"],
        "demo": ["run1"],
        "n": ["8"],
    }


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("open", "/p/zozo/newsletter/sale.gif?e=open&s=reader-1&demo=run1&n=7"),
        ("broken tag", "/p/zozo/newsletter/sale.gif?s=reader-1&demo=run1&n=7"),
        ("conversion", "/v/zozo/newsletter.gif?order=run1-7&value=26.90&currency=EUR&s=reader-1&demo=run1&n=7"),
    ],
)
def test_wire_of_what_a_subscriber_does(kind: Kind, path: str) -> None:
    visitor = Visitor("93.184.215.14", "Agent/1.0", "reader-1")
    wire = traffic.Wire("127.0.0.1:8080", "run1", lambda unit, target: "")
    assert wire.path(Request(7, 0.5, kind, "zozo/newsletter/sale", visitor)) == path
