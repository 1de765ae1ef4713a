"""Terms, reports and bills as people see them, and what is refused."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from commands import run_on
from facts import client, fact, insert, make_tables
from pypdf import PdfReader

from ledger import terms
from ledger.campaign import Campaign
from pixeltally.errors import Refused

DAY_MS = 86_400_000
MARCH_MS = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
UNIT = ("advertiser", "campaign", "creative", "placement")
BY_CLICK = ("--pricing", "cpc", "--price", "0.005", "--currency", "EUR")


@pytest.fixture
def run(clickhouse):
    make_tables(clickhouse)
    return lambda *arguments: run_on(clickhouse, *arguments)


def count(url, hits):
    """Put hits into ClickHouse, each minute of them recounted from facts."""
    insert(url, "facts_in", hits)
    places = {(hit["ts"] // 60_000 * 60, *(hit[name] for name in UNIT)) for hit in hits}
    told = {"partition": 0, "version": 1, "late": True}
    insert(url, "minute_rows", [dict(zip(("minute", *UNIT), place, strict=True)) | told for place in places])


def test_an_ad_seen_from_10000_ips_at_10_dollars_a_thousand_owes_100_dollars(clickhouse, run, tmp_path):
    quiz = {"advertiser": "quiz", "campaign": "classic"}
    hits = [fact(MARCH_MS + n % 7 * DAY_MS + n, visitor=n, **quiz) for n in range(1, 10_001)]
    again = [fact(MARCH_MS + 9 * DAY_MS + n, visitor=n, **quiz) for n in range(1, 2_001)]
    repeated = [fact(MARCH_MS + n, visitor=n, duplicate=True, **quiz) for n in range(1, 501)]
    robots = [fact(MARCH_MS + n, visitor=50_000 + n, verdict="bot", **quiz) for n in range(500)]
    count(clickhouse, [*hits, *again, *repeated, *robots])
    insert(clickhouse, "facts_in", hits[::3])
    agreed = ("--pricing", "cpm", "--price", "10.00", "--currency", "USD", "--basis", "unique")
    assert run("campaign", "set", "quiz/classic", *agreed).out == (
        "quiz/classic: CPM 10.00 USD on unique IPs, days of UTC; from the beginning\n"
    )

    bill = ("invoice", "quiz", "--month", "2026-03")
    told = json.loads(run(*bill, "--format", "json").out)
    assert (told["totals"], told["provisional"]) == ({"USD": "100.00"}, False)
    assert [(line["quantity"], line["price"], line["amount"]) for line in told["lines"]] == [
        (10_000, "10.00", "100.00")
    ]
    [line] = csv.DictReader(io.StringIO(run(*bill, "--format", "csv").out))
    assert (line["quantity"], line["amount"], line["currency"]) == ("10000", "100.00", "USD")
    assert run(*bill).out.splitlines()[:5] == [
        "Invoice: quiz, March 2026",
        "",
        "campaign  days                      paid for         quantity                price      amount",
        "classic   2026-03-01 to 2026-03-31  CPM, unique IPs    10,000  10.00 USD per 1,000  100.00 USD",
        "total                                                                               100.00 USD",
    ]
    assert run(*bill, "--format", "pdf", "--out", str(tmp_path / "bill.pdf")).code == 0
    for file in (tmp_path / "bill.pdf", io.BytesIO(run(*bill, "--format", "pdf").written)):
        text = PdfReader(file).pages[0].extract_text()
        assert "Invoice: quiz, March 2026" in text
        assert "10,000 10.00 USD per 1,000 100.00 USD" in text
        assert "PROVISIONAL" not in text
    done = run(*bill, "--out", str(tmp_path / "no" / "such.txt"))
    assert (done.code, "can't be written: No such file" in done.said) == (2, True)

    ask = client(clickhouse).query
    assert ask("SELECT sum(spent) FROM spend WHERE advertiser = 'quiz'").result_rows == [(Decimal(100),)]
    out = run("report", "quiz", "--from", "2026-03-01", "--to", "2026-03-31", "--by", "month").out
    assert "2026-03  classic     13,000  12,000         500      500      10,000       1.20" in out
    assert "100.00 USD  bot 500" in out
    whole = (
        "report",
        "quiz/classic",
        "--from",
        "1970-01-01",
        "--to",
        "2026-03-31",
        "--by",
        "month",
        "--format",
        "json",
    )
    [month] = json.loads(run(*whole).out)["rows"]
    assert (month["gross"], month["valid"], month["invalid"]) == (13_000, 12_000, 500)


def test_a_month_that_is_not_over_is_provisional(clickhouse, run):
    now = datetime.now(UTC)
    count(clickhouse, [fact(int(now.timestamp() * 1000), advertiser="early", campaign="bird")])
    run("campaign", "set", "early/bird", "--pricing", "cpm", "--price", "4", "--currency", "EUR", "--basis", "valid")
    bill = ("invoice", "early", "--month", f"{now:%Y-%m}")
    assert "PROVISIONAL" in run(*bill).out
    assert json.loads(run(*bill, "--format", "json").out)["provisional"] is True
    pdf = PdfReader(io.BytesIO(run(*bill, "--format", "pdf").written))
    assert "PROVISIONAL" in pdf.pages[0].extract_text()


def test_clicks_and_conversions_are_owed_for_on_every_basis(clickhouse, run):
    unit = {"advertiser": "bases", "campaign": "all"}

    def click(visitor, day=0, **values):
        return fact(MARCH_MS + day * DAY_MS + visitor, "click", **unit, visitor=visitor, **values)

    def sale(visitor, order, day=0, **values):
        at = MARCH_MS + day * DAY_MS + 60_000 + visitor
        return fact(at, "conversion", **{**unit, "creative": ""}, visitor=visitor, order=order, **values)

    first, nobodys, robots = click(1), click(0), click(3, verdict="bot")
    clicks = [first, click(1, 9), click(2, 5), click(2, 5, duplicate=True), nobodys, click(0, 1), robots]
    sales = [
        sale(1, "a"),
        sale(77, "a", 1),  # the shop's server reports it again
        sale(1, "b", 2),
        sale(88, "c", 3, click_id=first["id"]),  # bought by whoever clicked
        sale(2, "d", 4, verdict="prefetch"),
        sale(2, "d", 4, duplicate=True),
        sale(4, "e", 5),
        sale(4, "f", 6, click_id=nobodys["id"]),
        sale(0, "g", 7),
    ]
    folded = [click(5, verdict="unregistered"), sale(5, "h", verdict="unregistered")]
    count(clickhouse, [*clicks, *sales, *folded])
    insert(clickhouse, "facts_in", [*clicks, *sales])  # redelivered
    owed = {
        ("cpc", "gross"): (7, "click requests"),
        ("cpc", "valid"): (5, "valid clicks"),
        ("cpc", "unique"): (2, "unique IPs that clicked"),
        ("cpa", "gross"): (9, "reported conversions"),
        ("cpa", "valid"): (6, "conversions"),
        ("cpa", "unique"): (2, "unique IPs that converted"),
    }
    asked = ("report", "bases", "--from", "2026-03-01", "--to", "2026-03-31", "--by", "month", "--format", "json")
    for (pricing, basis), (quantity, paid_for) in owed.items():
        agreed = ("--pricing", pricing, "--price", "2", "--currency", "EUR", "--basis", basis)
        assert f": {pricing.upper()} 2.00 EUR on {paid_for}, days" in run("campaign", "set", "bases/all", *agreed).out
        [line] = json.loads(run("invoice", "bases", "--month", "2026-03", "--format", "json").out)["lines"]
        amount = f"{2 * quantity}.00"
        assert (line["unit"], line["quantity"], line["amount"]) == (paid_for, quantity, amount)
        spends = [row["spend"] for row in json.loads(run(*asked, "--per", "placement").out)["rows"]]
        is_a_parts = pricing == "cpc" and basis != "unique"
        assert spends == ([{"EUR": "0.00"}, {"EUR": amount}] if is_a_parts else [None, None]), (pricing, basis)
    [row] = json.loads(run(*asked).out)["rows"]
    assert row["spend"] == {"EUR": amount}
    counts = ("click_requests", "clicks", "reported_conversions", "conversions")
    assert [row[name] for name in counts] == [7, 5, 9, 6]
    [line] = csv.DictReader(io.StringIO(run(*asked[:-1], "csv").out))
    assert [line[name] for name in counts] == ["7", "5", "9", "6"]


def test_what_only_a_scanner_asked_for_needs_terms_and_stands_in_the_report(clickhouse, run):
    count(clickhouse, [fact(MARCH_MS, "click", advertiser="scanned", campaign="link", verdict="bot")])
    assert "no terms held for all that scanned counted" in run("invoice", "scanned", "--month", "2026-03").said
    run("campaign", "set", "scanned/link", *BY_CLICK, "--basis", "gross")
    told = run("report", "scanned", "--from", "2026-03-01", "--to", "2026-03-01", "--format", "json").out
    [row] = json.loads(told)["rows"]
    assert (row["gross"], row["click_requests"], row["clicks"], row["spend"]) == (0, 1, 0, {"EUR": "0.01"})


def test_each_line_is_rounded_and_a_total_is_the_sum_of_lines(clickhouse, run):
    for name in ("one", "three", "two"):
        count(clickhouse, [fact(MARCH_MS + 5, "click", advertiser="cents", campaign=name)])
        run("campaign", "set", f"cents/{name}", *BY_CLICK)
    bill = json.loads(run("invoice", "cents", "--month", "2026-03", "--format", "json").out)
    assert [line["amount"] for line in bill["lines"]] == ["0.01"] * 3
    assert bill["totals"] == {"EUR": "0.03"}


def test_what_is_not_said_is_as_it_is_on_the_day_that_the_terms_hold_from(clickhouse, run):
    def held():
        rows = client(clickhouse).query(
            "SELECT toString(since), toString(price), timezone FROM terms WHERE advertiser = 'said' ORDER BY starts"
        )
        return rows.result_rows

    terms.change(
        client(clickhouse),
        Campaign("said", "then"),
        {"pricing": "cpm", "basis": "valid", "price": Decimal("10"), "currency": "EUR"},
        None,
        datetime.now(UTC) - timedelta(days=40),
    )
    run("campaign", "set", "said/then", "--since", "2026-02-15", "--price", "20", "--budget", "500", "--start",
        "2026-01-01", "--end", "2026-12-31")  # fmt: skip
    run("campaign", "set", "said/then", "--since", "2026-02-01", "--timezone", "Europe/Berlin")
    assert held() == [
        ("1970-01-01", "10", "UTC"), ("2026-02-01", "10", "Europe/Berlin"), ("2026-02-15", "20", "UTC"),
    ]  # fmt: skip
    plans = client(clickhouse).query("SELECT argMax(budget, set_at) FROM terms_set WHERE advertiser = 'said'")
    assert plans.result_rows == [(500,)]
    today = str(datetime.now(UTC).date())
    assert run("campaign", "set", "said/then", "--price", "30", "--timezone", "UTC").out.endswith(f"since {today}\n")
    assert held()[2:] == [("2026-02-15", "20", "UTC"), (today, "30", "UTC")]


#: The 10th in UTC and Kiritimati, in Pago Pago still the 9th.
EARLY = datetime(2026, 3, 10, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "said", "since"),
    [
        # Terms that were set last, and hold no more: whose zone is a day ahead, or behind.
        ([(date(2026, 2, 1), "UTC"), (date(2026, 1, 1), "Pacific/Kiritimati")], None, date(2026, 3, 10)),
        ([(date(2026, 2, 1), "UTC"), (date(2026, 1, 1), "Pacific/Pago_Pago")], None, date(2026, 3, 10)),
        # And those that don't hold yet.
        ([(date(2026, 2, 1), "Pacific/Pago_Pago"), (date(2026, 4, 1), "UTC")], None, date(2026, 3, 9)),
        ([(date(2026, 4, 1), "Pacific/Pago_Pago")], None, date(2026, 3, 10)),
        # The zone that is said goes first.
        ([(date(2026, 2, 1), "UTC")], "Pacific/Pago_Pago", date(2026, 3, 9)),
        ([(date(2026, 2, 1), "Pacific/Pago_Pago")], "UTC", date(2026, 3, 10)),
        # What was a slip is mended on the campaign's first day, wherever that is.
        ([(None, "Pacific/Pago_Pago")], None, terms.BEGINNING),
        ([(None, "Pacific/Pago_Pago"), (date(2026, 4, 1), "Pacific/Kiritimati")], None, terms.BEGINNING),
        ([(None, "Pacific/Pago_Pago"), (date(2026, 2, 1), "UTC")], None, date(2026, 3, 10)),
    ],
)
def test_today_is_by_the_zone_that_is_said_or_holds(clickhouse, run, before, said, since):
    ours = client(clickhouse)
    campaign = Campaign("today", f"c{ours.query('SELECT count() FROM terms_set').result_rows[0][0]}")
    agreed = {"pricing": "cpm", "basis": "valid", "price": Decimal("7"), "currency": "EUR"}
    for number, (day, zone) in enumerate(before):
        # On the 9th in all these zones.
        terms.change(ours, campaign, agreed | {"timezone": zone}, day, EARLY - timedelta(hours=16 - number))
    told = {"price": Decimal("8")} | ({"timezone": said} if said else {})
    assert terms.change(ours, campaign, told, None, EARLY)[1] == since


def test_terms_that_are_in_disorder_elsewhere_leave_a_change_alone(clickhouse, run):
    ours, campaign = client(clickhouse), Campaign("disorder", "old")
    agreed = {"pricing": "cpm", "basis": "valid", "price": Decimal("7"), "currency": "EUR"}
    terms.change(ours, campaign, agreed | {"timezone": "Pacific/Pago_Pago"}, date(2026, 2, 10), EARLY)
    # As they could be set before it was refused: they begin an hour before those of the day before.
    ours.command(
        "INSERT INTO terms_set SELECT * REPLACE ('2026-02-11' AS since, starts - 3600 AS starts, set_at + 1 AS set_at)"
        " FROM terms_set WHERE advertiser = 'disorder'"
    )
    assert terms.change(ours, campaign, {"price": Decimal("8")}, date(2026, 3, 1), EARLY)[1] == date(2026, 3, 1)
    with pytest.raises(Refused, match="terms since 2026-02-11 would not begin after those since 2026-02-10"):
        terms.change(ours, campaign, {"timezone": "Pacific/Kiritimati"}, date(2026, 2, 11), EARLY)


@pytest.mark.parametrize(
    ("before", "after"), [("Pacific/Pago_Pago", "Pacific/Apia"), ("Pacific/Pago_Pago", "Pacific/Kiritimati")]
)
def test_terms_of_a_later_day_begin_later(run, before, after):
    name = f"dateline/{after.partition('/')[2].lower()}"
    assert run("campaign", "set", name, *BY_CLICK, "--since", "2026-02-10", "--timezone", before).code == 0
    done = run("campaign", "set", name, "--since", "2026-02-11", "--timezone", after)
    assert done.code == 2
    assert "terms since 2026-02-11 would not begin after those since 2026-02-10" in done.said
    assert run("campaign", "set", name, "--since", "2026-02-13", "--timezone", after).code == 0


def test_what_is_not_said_stays_and_every_change_is_kept(clickhouse, run):
    ours, campaign = client(clickhouse), Campaign("kept", "terms")
    long_ago = datetime.now(UTC) - timedelta(days=40)
    agreed = {"pricing": "cpm", "basis": "valid", "price": Decimal("7"), "currency": "EUR"}
    terms.change(ours, campaign, agreed, None, long_ago)
    today = datetime.now(UTC).date()
    assert run("campaign", "set", "kept/terms", "--price", "8").out == (
        f"kept/terms: CPM 8.00 EUR on valid impressions, days of UTC; since {today}\n"
    )
    corrected = run("campaign", "set", "kept/terms", "--price", "9", "--budget", "500", "--start", "2026-01-01",
                    "--end", "2026-12-31").out  # fmt: skip
    assert corrected.endswith(f"; budget 500.00 EUR from 2026-01-01 to 2026-12-31; since {today}\n")
    told = json.loads(run("campaign", "list", "kept", "--format", "json").out)
    assert [(row["since"], row["price"], row["budget"]) for row in told] == [(str(today), "9.00", "500.00")]
    history = json.loads(run("campaign", "list", "kept", "--history", "--format", "json").out)
    assert [row["price"] for row in history] == ["7.00", "8.00", "9.00"]
    assert [row["since"] for row in history] == [None, str(today), str(today)]
    assert history[0]["set_at"].startswith(f"{long_ago:%Y-%m-%dT%H:%M}")
    held = ours.query("SELECT price, since FROM terms WHERE advertiser = 'kept' ORDER BY starts").result_rows
    assert held == [(7, date(1970, 1, 1)), (9, today)]


def test_a_change_of_the_plan_alone_makes_no_new_line_and_spend_keeps_pace(clickhouse, run):
    hits = [fact(MARCH_MS + n * DAY_MS, "click", advertiser="paced", campaign="plan", visitor=n + 1) for n in range(10)]
    count(clickhouse, hits)
    run("campaign", "set", "paced/plan", "--pricing", "cpc", "--price", "2", "--currency", "EUR")
    run("campaign", "set", "paced/plan", "--since", "2026-03-05", "--budget", "31", "--start", "2026-03-02",
        "--end", "2026-04-01")  # fmt: skip
    bill = json.loads(run("invoice", "paced", "--month", "2026-03", "--format", "json").out)
    assert [(line["from"], line["to"], line["amount"]) for line in bill["lines"]] == [
        ("2026-03-01", "2026-03-31", "20.00")
    ]
    rows = client(clickhouse).query(
        "SELECT day, spent, spent_to_date, planned_to_date FROM spend WHERE advertiser = 'paced' ORDER BY day"
    )
    assert rows.result_rows == [(date(2026, 3, 1 + n), 2, 2 * n, n) for n in range(10)]


def test_what_was_erased_and_by_what_was_judged_stands_below(clickhouse, run):
    erased = {"advertiser": "erased", "campaign": "some"}
    count(clickhouse, [fact(MARCH_MS, **erased, rules_version="4be1c2d0 cua1.67.0")])
    row = "'erased', 'some', '2026-03-01', 12"
    client(clickhouse).command(f"INSERT INTO erasures VALUES (generateUUIDv4(), now(), 'ip', {row})")
    run("campaign", "set", "erased/some", *BY_CLICK)
    for asked in (
        ("report", "erased", "--from", "2026-03-01", "--to", "2026-03-02"),
        ("invoice", "erased", "--month", "2026-03"),
    ):
        out = run(*asked).out
        assert "12 hits of these months were made nobody's on request" in out
        assert "rules and lists: 4be1c2d0 cua1.67.0" in out
        told = json.loads(run(*asked, "--format", "json").out)
        assert (told["erased_hits"], told["rules_versions"]) == (12, ["4be1c2d0 cua1.67.0"])
    assert run(*asked, "--format", "csv").out.splitlines()[1].endswith(",EUR,4be1c2d0 cua1.67.0")


def test_where_nothing_was_counted_it_is_said(run):
    run("campaign", "set", "idle/some", *BY_CLICK)
    assert run("report", "idle/some", "--from", "2026-03-01", "--to", "2026-03-02").out == (
        "idle/some, 2026-03-01 to 2026-03-02, by day: nothing was counted\n"
    )
    assert run("invoice", "idle", "--month", "2026-03").out == "Invoice: idle, March 2026\n\nnothing is owed\n"
    pdf = PdfReader(io.BytesIO(run("invoice", "idle", "--month", "2026-03", "--format", "pdf").written))
    assert "Nothing is owed" in pdf.pages[0].extract_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("campaign", "set", "Acme"), "names no campaign"),
        (("campaign", "set", "new/one", "--price", "1"), "say all"),
        (("campaign", "set", "new/one", *BY_CLICK, "--timezone", "Mars/Base"), "no time zone"),
        (("campaign", "set", "new/one", *BY_CLICK[:-1], "BTC"), "no currency of ISO 4217"),
        (("campaign", "set", "new/one", *BY_CLICK, "--price", "-1"), "is no amount"),
        (("campaign", "set", "new/one", *BY_CLICK, "--pricing", "cpm"), "say which"),
        (("report", "acme", "--from", "2026-03-02", "--to", "2026-03-01"), "is before --from"),
        (("report", "acme", "--from", "1900-03-02", "--to", "2026-03-01"), "--from 1900-03-02 is no day between"),
        (("campaign", "set", "new/one", *BY_CLICK, "--since", "2999-01-01"), "--since 2999-01-01 is no day between"),
        (("report", "acme/Bad!", "--from", "2026-03-01", "--to", "2026-03-01"), "names no campaign"),
        (("invoice", "no-such", "--month", "2026-03"), "is it spelt so"),
        (("invoice", "acme", "--month", "March"), "does not match the format"),
        (("invoice", "acme", "--month", "1969-12"), "is no day between 1970 and 2105"),
        (("invoice", "acme", "--month", "0001-01"), "is no day between 1970 and 2105"),
        (("invoice", "acme", "--month", "9999-12"), "is no day between 1970 and 2105"),
        (("report", "no-such", "--from", "2026-03-01", "--to", "2026-03-01"), "is it spelt so"),
        (("report", "acme/no-such", "--from", "2026-03-01", "--to", "2026-03-01"), "is it spelt so"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(run, arguments, sentence):
    done = run(*arguments)
    assert done.code == 2
    assert sentence in done.said


def test_a_settled_month_keeps_its_terms(clickhouse, run):
    row = "'settled', 'some', '2024-02-01', '2024-02-03', 0, 'UTC', 1, 1, 1, 0, 0, 0, 0, 0, {}, now()"
    make_tables(clickhouse)
    client(clickhouse).command(f"INSERT INTO settled_days VALUES ({row})")
    done = run("campaign", "set", "settled/some", *BY_CLICK)
    assert done.code == 2
    assert "settled until 2024-03-01 00:00 UTC, its facts are gone: say --since 2024-03-01 or later" in done.said
    earlier = run("campaign", "set", "settled/some", *BY_CLICK, "--since", "2024-03-01", "--timezone", "Asia/Tokyo")
    assert "say --since 2024-03-02 or later" in earlier.said
    assert run("campaign", "set", "settled/some", *BY_CLICK, "--since", "2024-03-01").code == 0


def test_a_month_is_settled_by_the_clock_of_its_terms(clickhouse, run):
    row = "'settled', 'kathmandu', '2024-02-01', '2024-02-03', 0, 'Asia/Kathmandu', 1, 1, 1, 0, 0, 0, 0, 0, {}, now()"
    client(clickhouse).command(f"INSERT INTO settled_days VALUES ({row})")
    first = ("campaign", "set", "settled/kathmandu", *BY_CLICK, "--since", "2024-03-01")
    early = run(*first, "--timezone", "Pacific/Kiritimati")
    assert "settled until 2024-02-29 18:15 UTC, its facts are gone: say --since 2024-03-02 or later" in early.said
    assert run(*first, "--timezone", "Asia/Kathmandu").code == 0
    assert run(*first, "--timezone", "UTC").code == 0
