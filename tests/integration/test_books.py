"""Reports, reach, ledger, funnel, spend and invoices of three data sets equal a recount to the last digit."""

import json
from collections import Counter
from datetime import date
from decimal import Decimal

import books
import ledger_traffic as traffic
import pytest
import recount
from books import Books, Terms
from commands import run_on
from facts import client, make_tables
from ledger_traffic import DataSet

from ledger.terms import UNITS


def terms(campaign, since, zone, *agreed):
    pricing, basis, price, currency = agreed
    return Terms(campaign, since, zone, pricing, basis, Decimal(price), currency)


#: Clocks go back an hour on 25 October, Berlin; forward on 8 March, New York; back half an hour on 5 April, Lord Howe.
SETS = [
    DataSet(
        "berlin",
        date(2026, 10, 20),
        16,
        "84.180.0.0",
        [
            terms("spring", None, "Europe/Berlin", "cpm", "unique", "10.00", "USD"),
            terms("spring", date(2026, 10, 28), "Europe/Berlin", "cpm", "unique", "12.345678", "USD"),
            terms("mail", None, "Europe/Berlin", "cpc", "unique", "0.125", "EUR"),
            terms("mail", date(2026, 10, 30), "Europe/Berlin", "cpm", "valid", "3.33", "EUR"),
            terms("mail", date(2026, 11, 2), "Asia/Tokyo", "cpc", "unique", "0.2", "EUR"),
            terms("free", None, "UTC", "cpm", "gross", "0.5", "JPY"),
            terms("free", date(2026, 10, 26), "Europe/Berlin", "cpa", "gross", "12.5", "JPY"),
        ],
    ),
    DataSet(
        "newyork",
        date(2026, 3, 1),
        14,
        "2003:e0:1f00::",
        [
            terms("spring", None, "America/New_York", "cpc", "valid", "0.255", "EUR"),
            terms("spring", date(2026, 3, 5), "America/New_York", "cpc", "gross", "0.1", "EUR"),
            terms("spring", date(2026, 3, 8), "America/New_York", "cpa", "valid", "1.005", "EUR"),
            terms("mail", None, "America/New_York", "cpa", "unique", "2.5", "KWD"),
            terms("mail", date(2026, 3, 9), "America/New_York", "cpa", "unique", "2.75", "KWD"),
            terms("free", None, "America/New_York", "cpm", "unique", "0", "EUR"),
        ],
    ),
    DataSet(
        "lordhowe",
        date(2026, 3, 28),
        14,
        "91.5.0.0",
        [
            terms("spring", None, "Australia/Lord_Howe", "cpm", "valid", "5", "EUR"),
            terms("spring", date(2026, 4, 3), "Australia/Lord_Howe", "cpm", "unique", "9", "EUR"),
            terms("spring", date(2026, 4, 7), "Asia/Kathmandu", "cpm", "unique", "900", "JPY"),
            terms("mail", None, "America/St_Johns", "cpm", "unique", "7", "USD"),
            terms("mail", date(2026, 4, 1), "America/St_Johns", "cpa", "unique", "7", "USD"),
            terms("mail", date(2026, 4, 6), "America/St_Johns", "cpc", "unique", "1", "USD"),
        ],
    ),
]


class Case:
    """A data set in ClickHouse, its terms set, and the recount."""

    def __init__(self, url, data):
        self.data, self.url, self.ours = data, url, client(url)
        topic = traffic.messages(data)
        self.facts = traffic.facts(topic)
        self.books = Books(self.facts, data.terms)
        lines, rows = traffic.told(topic)
        for table, told in (("facts_in", lines), ("minute_rows", rows)):
            self.ours.raw_insert(table, insert_block=b"\n".join(told), fmt="JSONEachRow")
        for each in data.terms:
            is_default = each.pricing != "cpm" and each.basis == "valid"
            basis = [] if is_default else ["--basis", each.basis]
            since = [] if each.since is None else ["--since", str(each.since)]
            options = ["--pricing", each.pricing, "--price", str(each.price), "--currency", each.currency]
            self.run("campaign", "set", f"{data.advertiser}/{each.campaign}", *options, *basis, "--timezone",
                     each.timezone, *since)  # fmt: skip

    def run(self, *arguments):
        done = run_on(self.url, *arguments)
        assert done.code == 0, done.said
        return done.out

    def ask(self, query):
        return self.ours.query(query, parameters={"advertiser": self.data.advertiser}).result_rows


@pytest.fixture(scope="module", params=SETS, ids=lambda data: data.advertiser)
def case(clickhouse, request):
    make_tables(clickhouse)
    return Case(clickhouse, request.param)


def test_the_data_has_all_that_can_go_wrong(case):
    verdicts = Counter(fact["verdict"] for fact in case.facts)
    assert verdicts.keys() >= {"valid", "bot", "non-browser", "prefetch", "click-timing"}
    assert sum(fact["duplicate"] for fact in case.facts) > 20
    assert {fact["visitor"] for fact in case.facts} >= {0}
    assert case.ask("SELECT count() > 5 FROM minute_rows WHERE late AND advertiser = {advertiser:String}") == [(1,)]
    assert case.ask("SELECT count() > 5 FROM minute_rows WHERE NOT late AND advertiser = {advertiser:String}") == [(1,)]
    assert len(case.facts) == traffic.HITS


def test_the_data_has_all_pricings_on_all_bases():
    held = {(each.pricing, each.basis) for data in SETS for each in data.terms}
    assert held == set(UNITS)


def test_each_of_the_terms_is_owed_for(case):
    owed = case.books.paid(lambda fact, day: True)
    assert {each for each, quantity in owed.items() if quantity > 1} == set(case.data.terms)


@pytest.mark.parametrize(
    ("by", "per", "campaign"), [("week", "campaign", ""), ("day", "campaign", "spring"), ("month", "placement", "")]
)
def test_a_report_equals_the_recount(case, by, per, campaign):
    parts = {"campaign": (), "placement": ("creative", "placement")}[per]
    first, last = (case.data.first.replace(day=case.data.first.day + 1), books.span("month", "2026-04")[1])
    if case.data.advertiser != "lordhowe":
        last = first.replace(day=first.day + 9)
    what = f"{case.data.advertiser}/{campaign}".rstrip("/")
    out = case.run(
        "report", what, "--from", str(first), "--to", str(last), "--by", by, "--per", per, "--format", "json"
    )
    report = json.loads(out)
    for name, rows in (("rows", report["rows"]), ("totals", report["totals"])):
        expected = case.books.report(campaign, first, last, "total" if name == "totals" else by, parts)
        found = {tuple(row[each] for each in ("period", "campaign", "creative", "placement")): row for row in rows}
        assert len(found) == len(rows)
        assert found.keys() == expected.keys()
        for key, row in found.items():
            assert row["gross"] == row["valid"] + row["duplicates"] + sum(row["reasons"].values())
            revenue = {currency: Decimal(amount) for currency, amount in row["revenue"].items()}
            assert {each: row[each] for each in expected[key]} | {"revenue": revenue} == expected[key], key
            period, end = (first, last) if name == "totals" else books.span(by, key[0])
            assert (row["from"], row["to"]) == (str(max(first, period)), str(min(last, end)))
            assert row["cut"] == ((max(first, period), min(last, end)) != (period, end))
            if per == "campaign":
                spend = case.books.spend(row["campaign"], by, key[0], first, last)
                assert row["spend"] == spend, key


def test_invoices_equal_the_recount_and_spend_adds_up_to_them(case):
    months = sorted({case.books.place(fact)[0].replace(day=1) for fact in case.facts})
    if case.data.advertiser == "lordhowe":
        refused = run_on(case.url, "invoice", "lordhowe", "--month", "2026-04")
        assert refused.code == 2
        assert "no terms held for all that lordhowe counted in 2026-04 of free:" in refused.said
        free = terms("free", None, "UTC", "cpm", "gross", "1", "EUR")
        case.books = Books(case.facts, [*case.data.terms, free])
        case.run("campaign", "set", "lordhowe/free", "--pricing", "cpm", "--price", "1", "--currency", "EUR",
                 "--basis", "gross")  # fmt: skip
    for month in months:
        invoice = json.loads(case.run("invoice", case.data.advertiser, "--month", f"{month:%Y-%m}", "--format", "json"))
        expected = case.books.invoice(month)
        lines = [line for line in invoice["lines"] if line["quantity"]]
        assert [{name: line[name] for name in expected[0]} for line in lines] == [
            line for line in expected if line["quantity"]
        ]
        sums = Counter()
        for line in expected:
            sums[line["currency"]] += Decimal(line["amount"])
        assert {currency: Decimal(total) for currency, total in invoice["totals"].items() if Decimal(total)} == {
            currency: total for currency, total in sums.items() if total
        }
        spent = case.ask(
            f"SELECT campaign, starts, currency, sum(spent), sum(quantity) FROM spend WHERE month = '{month}'"
            " AND advertiser = {advertiser:String} GROUP BY ALL ORDER BY campaign, starts"
        )
        assert [(line["campaign"], line["amount"], line["quantity"]) for line in lines] == [
            (campaign, str(books.rounded(amount, currency)), quantity)
            for campaign, _, currency, amount, quantity in spent
            if quantity
        ]


def test_the_ledger_equals_the_recount_minute_by_minute(case):
    expected = {}
    for fact in case.facts:
        unit = tuple(fact[name] for name in ("campaign", "creative", "placement"))
        row = expected.setdefault((fact["ts"] // 60_000 * 60, *unit), [0, 0, 0, Counter()])
        if fact["kind"] in recount.IMAGES:
            row[0] += 1
            row[1] += recount.counts(fact)
            row[2] += fact["duplicate"]
            row[3] += Counter([fact["verdict"]] if fact["verdict"] != "valid" else [])
    found = case.ask(
        "SELECT toUnixTimestamp(minute), campaign, creative, placement, gross, valid, duplicates, reasons, invalid"
        " FROM ledger WHERE advertiser = {advertiser:String}"
    )
    assert {row[:4]: [*row[4:7], Counter(row[7])] for row in found} == expected
    assert all(row[4] == row[5] + row[6] + sum(row[7].values()) and row[8] == sum(row[7].values()) for row in found)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_reach_over_any_days_equals_the_recount(case, zone):
    first, last = case.data.first, case.data.first.replace(day=28)
    held = [terms(name, None, zone, "cpm", "valid", "1", "EUR") for name in ("spring", "mail", "free")]
    expected = Books(case.facts, held).report("", first, last, "total", ("creative", "placement"))
    found = case.ask(
        "SELECT campaign, creative, placement, impressions, uniques, duplicates, frequency"
        f" FROM reach_between(first = '{first}', last = '{last}', tz = '{zone}')"
        " WHERE advertiser = {advertiser:String} AND creative != ''"
    )
    assert {row[:3]: row[3:] for row in found} == {
        key[1:]: (row["valid"], row["unique_ips"], row["duplicates"], row["frequency"])
        for key, row in expected.items()
        if key[2] and row["gross"]
    }


def test_the_funnel_equals_the_recount(case):
    for campaign in ("spring", "mail"):
        facts = [fact for fact in case.facts if fact["campaign"] == campaign]
        took = recount.funnel(facts)
        steps = json.loads(case.run("funnel", f"{case.data.advertiser}/{campaign}", "--format", "json"))
        assert {row["step"]: row["visitors"] for row in steps["steps"]} == {
            step: sum(step in each for each in took.values()) for step in ("sent", "opened", "clicked", "converted")
        }
        assert steps["conversions"] == len(recount.buyers(facts))
