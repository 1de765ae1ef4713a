"""A statement is what its raw log says, under any settings; no byte of it, of the log or of the key can be altered."""

import collections
import json
import random
import shutil
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from io import BytesIO
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
import pytest
import rfc8785
from facts import client, insert, insert_into, make_tables
from miniature import Sent, Spool, count, enricher
from processes import BROWSER
from pypdf import PdfReader

from audit.verify import verified
from ingest import request
from ingest.request import Request
from ledger import money, statement_archive
from ledger.campaign import Campaign
from ledger.statement import DEFINITIONS, FORMAT, SETTINGS, correction, signed, statement
from ledger.statement_counts import Counter, Period
from ledger.statement_pdf import pdf
from ledger.statement_terms import lines, terms
from ledger.terms import UNITS
from pixeltally.errors import Refused
from pixeltally.hit import IMAGE_KINDS
from pixeltally.identity import hit_id
from pixeltally.settings import Settings
from pixeltally.statement_key import StatementKey
from streams.rules import RULES

PERIOD = Period(date(2026, 3, 29), date(2026, 3, 29), "Europe/Berlin")  # of 23 hours
START = round(PERIOD.start.timestamp() * 1000)
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
HIDDEN = {"PIXELTALLY_SECRET": "of the tests", "PIXELTALLY_TRUSTED_PROXIES": "127.0.0.1/32"}


def traffic(draw, hits=350):
    """What two workers were asked, around the beginning of the day too; one is late for an hour."""
    now, sent = START - 3_600_000, []
    held, clicks, spools = [], [], defaultdict(Spool)

    def send(arrived, node, said):
        sent.append(Sent(arrived, node, said))
        for each in said:
            seq = spools[node].append(request.encode(each))
            if each.uri.startswith("/c/"):
                clicks.append(hit_id(round(each.time * 1000), node, seq))

    for _ in range(hits):
        now += draw.choice([40, 500, 5000, 9000, 20_000, 61_000])
        node, campaign = draw.choice(["a", "a", "b"]), draw.choice(["spring", "spring", "spring", "autumn"])
        path = draw.choice(
            [
                f"/p/proven/{campaign}/banner.gif",
                f"/p/proven/{campaign}/video/blog.gif",
                f"/p/%70roven/{campaign}/banner.gif",
            ]
        )
        chance, query = draw.random(), []
        if chance < 0.1:
            path = f"/c/proven/{campaign}/banner"
            query = [f"to={quote('https://shop.example/?a=%41', safe='')}", "k=right"]
        elif chance < 0.15:
            path = f"/v/proven/{campaign}.gif"
            query = [
                f"order={draw.choice(['', 'A', 'B', 'C'])}",
                draw.choice(["value=12.5", "value=1", ""]),
                "currency=EUR",
                f"pt_click={draw.choice(['', *clicks])}",
            ]
        elif chance < 0.2:
            path = draw.choice(["/p/UPPER/x/y.gif", "/p/proven/spring/banner.gif?e=melt", "/x"])
        if draw.random() < 0.2:
            query.append(f"s=reader{draw.randrange(9)}%40example.org")
        uri = path + ("?" + "&".join(filter(None, query)) if query else "")
        said = Request(
            now / 1000, uri, "127.0.0.1", forwarded_for=f"198.51.100.{draw.randrange(5)}",
            user_agent=BOT if draw.random() < 0.08 else BROWSER, gpc="1" if draw.random() < 0.05 else "",
        )  # fmt: skip
        if node == "b" and START + 7_200_000 < now < START + 10_800_000:
            held.append(said)
            continue
        if held and now > START + 10_800_000:
            for at in range(0, len(held), 9):
                send(now + 30, "b", held[at : at + 9])
            held = []
        send(now + draw.choice([5, 30, 700]), node, [said])
    return sent


def stated(root, settings, facts):
    """A statement of the facts, counted here."""
    ours = [fact for fact in facts if (fact.advertiser, fact.campaign) == ("proven", "spring")]
    start, end = START, round(PERIOD.end.timestamp() * 1000)
    its = [fact for fact in ours if start <= fact.ts < end]
    orders = [fact for fact in sorted(ours, key=lambda fact: fact.ts) if fact.kind == "conversion" and counts(fact)]
    firsts, earlier = {}, set()
    for fact in orders:
        firsts.setdefault(fact.order or fact.id, fact)
    for fact in orders:
        first = firsts[fact.order or fact.id]
        if fact.order and first.ts < start <= fact.ts < end:
            earlier.add(sha256(fact.order.encode()).hexdigest())
    sold = [fact for fact in firsts.values() if start <= fact.ts < end]
    reported = [fact for fact in its if fact.kind == "conversion"]
    day = counted(its) | {"conversions": {"reported": len(reported)} | worth(sold)}
    clicks = {fact.id: fact for fact in ours if fact.kind == "click"}
    followed = [clicks[fact.click_id] for fact in sold if fact.click_id in clicks]
    buyers = {(fact.click_id in clicks and clicks[fact.click_id].visitor) or fact.visitor for fact in sold}
    units = sorted({(fact.creative, fact.placement) for fact in its if fact.kind != "conversion"})
    archive = statement_archive.part(
        root, PERIOD, statement_archive.memory_ms(settings), [fact.ts for fact in followed]
    )
    owed = [
        line(pricing, basis, day[what][name])
        for pricing, what in (("cpm", "impressions"), ("cpc", "clicks"))
        for basis, name in (("unique", "unique"), ("valid", "valid"), ("gross", "gross"))
    ]
    owed += [line("cpa", "unique", len(buyers - {0})), line("cpa", "valid", len(sold))]
    owed += [line("cpa", "gross", len(reported))]
    return {
        "format": FORMAT, "advertiser": "proven", "campaign": "spring", "from": "2026-03-29", "to": "2026-03-29",
        "timezone": PERIOD.timezone, "start": start // 1000, "end": end // 1000, "preliminary": False,
        "total": day, "days": [{"day": "2026-03-29", **day}],
        "units": [
            {"creative": unit[0], "placement": unit[1]}
            | counted([fact for fact in its if (fact.creative, fact.placement) == unit])
            for unit in units
        ],
        "earlier_orders": sorted(earlier), "terms": [], "lines": owed,
        "amounts": {"EUR": str(sum(Decimal(each["amount"]) for each in owed))},
        "rules": [{"version": enricher(settings).version(), "hits": len(its)}],
        "completeness": {}, "corrects": None,
        "methodology": {
            "settings": {name: settings.text(name) for name in SETTINGS},
            "rules": [{"name": rule.name, "reason": rule.reason} for rule in RULES],
            "definitions": DEFINITIONS,
        },
        "archive": archive | {"unarchived": 0, "without_segment": 0},
    }  # fmt: skip


def line(pricing, basis, quantity):
    """What is owed for the day, by terms that were made up."""
    amount = Decimal(quantity) * 10 / (1000 if pricing == "cpm" else 1)
    return {
        "from": "2026-03-29", "to": "2026-03-29", "pricing": pricing, "basis": basis, "price": "10", "currency": "EUR",
        "quantity": quantity, "decimals": 2, "amount": str(amount.quantize(Decimal("0.01"))),
    }  # fmt: skip


def test_clickhouse_states_what_the_facts_are(tmp_path, clickhouse):
    root, ours, campaign = tmp_path / "archive", None, Campaign("proven", "spring")
    settings = Settings.from_env({**HIDDEN, "PIXELTALLY_DATA": str(tmp_path), "PIXELTALLY_ARCHIVE": str(root)})
    facts = count(root, settings, traffic(random.Random(4)))
    make_tables(clickhouse)
    insert(clickhouse, "facts_in", [msgspec.to_builtins(fact) for fact in facts])
    ours = client(clickhouse)
    for since, price in (("1970-01-01", 10), ("2026-03-29", 20), ("2026-03-30", 99)):
        agree(ours, campaign, since, price)

    def made(first, corrects=None):
        return statement(settings, ours, campaign, (first, PERIOD.last), corrects)

    def proven(content):
        return verified(write(tmp_path / "statement.json", settings, content), root, "").problems == []

    one, expected = made(PERIOD.first), stated(root, settings, facts)
    for name in ("total", "days", "units", "earlier_orders", "start", "end", "rules"):
        assert one[name] == expected[name], name
    unique = expected["total"]["impressions"]["unique"]
    assert [(line["quantity"], line["amount"]) for line in one["lines"]] == [(unique, f"{unique / 50:.2f}")]
    assert proven(one)
    two = made(date(2026, 3, 28))
    images = [fact for fact in facts if is_ours(fact) and fact.kind in IMAGE_KINDS and fact.visitor]
    before, after = ({fact.visitor for fact in images if (fact.ts >= START) == later} for later in (False, True))
    assert [line["quantity"] for line in two["lines"]] == [len(before), len(after - before)]
    assert [line["price"] for line in two["lines"]] == ["10", "20"]
    assert proven(two)
    expect_the_same_as_the_invoice(ours, campaign, facts)
    agree(ours, campaign, "1970-01-01", 10, ("cpa", "unique"))
    agree(ours, campaign, "2026-03-29", 20, ("cpa", "unique"))
    three = made(PERIOD.first)
    [one_line], [expected_line] = three["lines"], [each for each in expected["lines"] if of(each) == ("cpa", "unique")]
    assert one_line["quantity"] == expected_line["quantity"] > 0
    assert proven(three)
    forged = one_line | {"quantity": 9, "amount": "180.00"}
    assert not proven(three | {"lines": [forged], "amounts": {"EUR": "180.00"}})
    write(tmp_path / "statement.json", settings, two)
    corrects = correction(tmp_path / "statement.json", "the price")
    assert made(PERIOD.first, corrects)["corrects"] == {
        "statement": sha256(rfc8785.dumps(two)).hexdigest(),
        "why": "the price",
    }
    text = "".join(page.extract_text() for page in PdfReader(BytesIO(pdf(one, b"signed"))).pages)
    assert f"{unique:,} by CPM on unique at 20 EUR" in text
    assert sha256(b"signed").hexdigest() in text.replace("\n", "")
    with pytest.raises(Refused, match="nothing was counted"):
        statement(settings, ours, Campaign("proven", "nothing"), (PERIOD.first, PERIOD.last), None)


def expect_the_same_as_the_invoice(ours, campaign, facts):
    """Of every way of paying, in a month whose terms change: what its lines sum up."""
    names = ("advertiser", "campaign", "creative", "placement")
    minute = {"partition": 0, "version": 1, "late": True}  # so it is counted from facts
    places = {(fact.ts // 60_000 * 60, *(getattr(fact, name) for name in names)) for fact in facts}
    insert_into(ours, "minute_rows", [dict(zip(("minute", *names), each, strict=True)) | minute for each in places])
    month = Period(date(2026, 3, 1), date(2026, 3, 31), PERIOD.timezone)
    counter = Counter(ours, campaign, month)
    days = counter.days()
    for what in UNITS:
        agree(ours, campaign, "1970-01-01", 10, what)
        agree(ours, campaign, "2026-03-29", 20, what)
        stated = lines(terms(ours, campaign, *month[:2]), counter, days, month)
        charged = ours.query(
            "SELECT sum(quantity), sum(spent) FROM charges WHERE (advertiser, campaign) = ('proven', 'spring')"
            f" AND month = '{month.first}' GROUP BY starts ORDER BY starts"
        ).result_rows
        assert [(each["quantity"], each["amount"]) for each in stated] == [
            (quantity, str(money.rounded(spent, "EUR"))) for quantity, spent in charged
        ], what
        assert len(stated) == 2


def agree(ours, campaign, since, price, what=("cpm", "unique")):
    """Set terms, by days of Berlin."""
    starts = datetime.fromisoformat(since).replace(tzinfo=UTC if since < "2000" else ZoneInfo(PERIOD.timezone))
    row = campaign._asdict() | {"since": date.fromisoformat(since), "starts": starts}
    row |= {"timezone": PERIOD.timezone, "pricing": what[0], "basis": what[1], "price": Decimal(price)}
    row |= {"currency": "EUR", "set_at": datetime.now(UTC)}
    ours.insert("terms_set", [[*row.values()]], column_names=[*row])


def of(line):
    return line["pricing"], line["basis"]


def is_ours(fact):
    return (fact.campaign, fact.verdict) == ("spring", "valid")


def counts(fact):
    return fact.verdict == "valid" and not fact.duplicate


def counted(facts):
    found = {}
    for what, its in (
        ("impressions", [fact for fact in facts if fact.kind in IMAGE_KINDS]),
        ("clicks", [fact for fact in facts if fact.kind == "click"]),
    ):
        found[what] = {
            "gross": len(its),
            "invalid": dict(collections.Counter(fact.verdict for fact in its if fact.verdict != "valid")),
            "duplicates": sum(fact.duplicate for fact in its),
            "valid": sum(map(counts, its)),
            "unique": len({fact.visitor for fact in its if fact.verdict == "valid"} - {0}),
        }
    found["clicks"]["attributed"] = sum(
        counts(fact) and bool(fact.impression_id) for fact in facts if fact.kind == "click"
    )
    return found


def worth(sold):
    value = defaultdict(Decimal)
    for fact in sold:
        value[fact.currency or "-"] += Decimal(fact.value or 0)
    return {"orders": len(sold), "value": {currency: f"{sum:.4f}" for currency, sum in value.items() if sum}}


def write(path, settings, content):
    path.write_bytes(signed(StatementKey(settings.data), content))
    return path


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PIXELTALLY_VISITOR": "ip+ua", "PIXELTALLY_DUPLICATE_WINDOW_S": "600"},
        {"PIXELTALLY_STORE_IP": "truncated"},
        {"PIXELTALLY_STORE_IP": "none", "PIXELTALLY_GPC": "anonymous", "PIXELTALLY_ATTRIBUTION_WINDOW_S": "600"},
    ],
)
def test_the_raw_log_says_what_the_statement_says(tmp_path, environ):
    settings = Settings.from_env({**HIDDEN, **environ, "PIXELTALLY_DATA": str(tmp_path)})
    draw = random.Random(str(environ))
    content = stated(tmp_path / "archive", settings, count(tmp_path / "archive", settings, traffic(draw)))
    assert content["total"]["impressions"]["duplicates"] > 2
    assert content["total"]["clicks"]["attributed"] > 1
    found = verified(write(tmp_path / "statement.json", settings, content), tmp_path / "archive", "")
    assert found.problems == []
    assert "counted again from" in found.checked[-1]


@pytest.fixture(scope="module")
def proven(tmp_path_factory):
    """(Settings, a statement's content, its file, its archive)."""
    folder = tmp_path_factory.mktemp("proven")
    settings = Settings.from_env({**HIDDEN, "PIXELTALLY_DATA": str(folder)})
    content = stated(folder / "archive", settings, count(folder / "archive", settings, traffic(random.Random(1))))
    return settings, content, write(folder / "statement.json", settings, content), folder / "archive"


def test_a_statement_with_one_byte_altered_is_refused(proven, tmp_path):
    _, _, file, _ = proven
    data, draw = file.read_bytes(), random.Random(2)
    for place in [*range(200), *draw.sample(range(len(data)), 300), len(data) - 1]:
        altered = bytearray(data)
        altered[place] ^= 1 << draw.randrange(8)
        path = tmp_path / "altered.json"
        path.write_bytes(altered)
        assert verified(path, None, "").problems, place
    for cut in (data[:-1], data + b"\n", b" " + data, b"", data.replace(b'","', b'", "', 1)):
        path.write_bytes(cut)
        assert verified(path, None, "").problems


def test_another_key_is_told(proven, tmp_path):
    settings, content, file, _ = proven
    theirs = StatementKey(tmp_path)
    assert verified(file, None, StatementKey(settings.data).public).problems == []
    [problem] = verified(file, None, theirs.public).problems
    assert problem.startswith("the key:")
    said = json.loads(file.read_bytes()) | {"key": theirs.public}
    path = tmp_path / "altered.json"
    path.write_bytes(rfc8785.dumps(said) + b"\n")
    assert any(problem.startswith("the signature:") for problem in verified(path, None, "").problems)
    forged = content | {"amounts": {"EUR": "1000000.00"}}
    assert verified(write(path, settings, forged), None, "").problems == [
        "the amounts: they are not the sums of the lines"
    ]


def test_an_archive_with_one_byte_altered_is_refused_and_told_which(proven, tmp_path):
    _, _, file, archive = proven
    draw, copy = random.Random(3), tmp_path / "archive"
    shutil.copytree(archive, copy)
    paths = [path for path in sorted(copy.rglob("*")) if path.is_file()]
    assert len(paths) == 8
    for number in range(120):
        path = paths[number % len(paths)]
        data = path.read_bytes()
        place = draw.randrange(len(data))
        altered = bytearray(data)
        altered[place] ^= 1 << draw.randrange(8)
        path.write_bytes(altered)
        [problem] = verified(file, copy, "").problems
        assert path.parent.name in problem, (path, place)
        path.write_bytes(data)
    assert verified(file, copy, "").problems == []


def test_blocks_in_another_order_are_told(proven, tmp_path):
    _, _, file, archive = proven
    for what in ("requests/a", "order"):
        copy = tmp_path / what.replace("/", "-")
        shutil.copytree(archive, copy)
        folder = next(iter((copy / what).rglob("*.chain.ndjson"))).parent
        [chain] = folder.glob("*.chain.ndjson")
        lines = chain.read_bytes().splitlines(keepends=True)
        assert len(lines) > 3
        chain.write_bytes(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))
        [problem] = verified(file, copy, "").problems
        assert folder.name in problem
        chain.write_bytes(b"".join(lines[:1] + lines[2:]))
        assert verified(file, copy, "").problems


def test_what_the_log_does_not_hold_cannot_be_stated(proven, tmp_path):
    settings, content, _, archive = proven
    other = json.loads(json.dumps(content | {"lines": [], "amounts": {}}))
    for part in (other["total"], other["days"][0], other["units"][0]):
        part["impressions"]["gross"] += 1
        part["impressions"]["valid"] += 1
    other["total"]["impressions"]["unique"] -= 1
    problems = verified(write(tmp_path / "other.json", settings, other), archive, "").problems
    stated_otherwise = [problem.partition(" is stated")[0] for problem in problems]
    assert stated_otherwise[:3] == [f"the total: impressions {name}" for name in ("gross", "valid", "unique")]
    assert not any("unique" in what for what in stated_otherwise[3:])


def test_settings_that_were_other_ones_give_other_counts(proven, tmp_path):
    settings, _, _, _ = proven
    settings = replace(settings, data=tmp_path)
    facts = count(tmp_path / "archive", replace(settings, duplicate_window_s=600), traffic(random.Random(1)))
    content = stated(tmp_path / "archive", settings, facts)
    assert verified(write(tmp_path / "x.json", settings, content), tmp_path / "archive", "").problems == []
    assert content["archive"]["counted_by"][0]["duplicate_window_s"] == "600"
    assert datetime.fromtimestamp(content["start"], UTC) == PERIOD.start
