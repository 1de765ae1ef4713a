"""Sent, opened, clicked, converted: the view and the command equal a recount by the contract's words."""

import csv
import io
import json
import random
import uuid
from datetime import UTC, datetime

import pytest
import recount
from click.testing import CliRunner
from facts import client, fact, insert, make_tables

from pixeltally.cli import main
from pixeltally.identity import subscriber_name, visitor_key, visitor_number

NOW_MS = 1_790_000_000_000
KEY = visitor_key(b"of the tests")
IMAGES = ("impression", "open", "view")
STEPS = ("sent", "opened", "clicked", "converted")


def number(subscriber):
    return visitor_number(KEY, subscriber_name(subscriber))


@pytest.fixture
def run(clickhouse, monkeypatch):
    """A function that runs a command of ours on the embedded ClickHouse: (exit code, standard output, error)."""
    make_tables(clickhouse)
    monkeypatch.setenv("PIXELTALLY_CLICKHOUSE_URL", clickhouse)
    monkeypatch.setenv("PIXELTALLY_SECRET", "of the tests")

    def command(*arguments, typed=None):
        done = CliRunner().invoke(main, arguments, input=typed, catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return command


def a_campaigns_hits(campaign):
    """Hits of a mailing: subscribers and passers-by, invalid ones, duplicates, conversions with and without a click."""
    rolls = random.Random(5)
    subscribers = [f"s{n}@example.org" for n in range(60)]
    people = [(name, number(name)) for name in subscribers] + [("", n) for n in range(1000, 1030)] + [("", 0)]
    hits = []

    def add(kind, who, **values):
        verdict = rolls.choice(["valid"] * 8 + ["bot", "prefetch"])
        hits.append(
            fact(
                NOW_MS + rolls.randrange(10**8),
                kind,
                advertiser="mailer",
                campaign=campaign,
                evidence=rolls.choice(["machine", "proxy", "probable"]) if kind == "open" else "",
                **({"subscriber": who[0], "visitor": who[1]} | {"verdict": verdict, "duplicate": rolls.random() < 0.2}),
                **values,
            )
        )
        return hits[-1]

    for who in people:
        for _ in range(rolls.randrange(4)):
            add(rolls.choice(IMAGES), who)
        clicked = [add("click", who) for _ in range(rolls.randrange(3))]
        for order in range(rolls.randrange(3)):
            # The Thank-You page sees an address; only the click's id leads back to the subscriber.
            page = ("", 5000 + rolls.randrange(40))
            named = rolls.choice([*(click["id"] for click in clicked), str(uuid.uuid4())])
            for _ in range(1 + order):
                add("conversion", page, order=f"{who[1]}-{order}", click_id=named, value="1.5")
    return subscribers, hits


def test_the_view_and_the_command_equal_a_recount(clickhouse, run):
    subscribers, hits = a_campaigns_hits("recounted")
    insert(clickhouse, "facts_in", hits)
    insert(clickhouse, "facts_in", hits[::3])
    listed = [*subscribers[:40], "never@example.org"]
    code, out, _ = run("sent", "mailer/recounted", "-", typed="subscriber\n" + "\n".join(listed))
    assert (code, out) == (0, "41 lines read; 41 subscribers are on the list of mailer/recounted\n")

    took, conversions = recount.funnel(hits, [number(name) for name in listed]), len(recount.buyers(hits))
    view = client(clickhouse).query(
        "SELECT visitor, sent, opened, clicked, converted FROM funnel"
        " WHERE advertiser = 'mailer' AND campaign = 'recounted'"
    )
    assert {
        row[0]: {step for step, is_so in zip(STEPS, row[1:], strict=True) if is_so} for row in view.result_rows
    } == took

    code, out, _ = run("funnel", "mailer/recounted", "--format", "json")
    report = json.loads(out)
    for step, row in zip(STEPS, report["steps"], strict=True):
        assert row["visitors"] == sum(step in each for each in took.values())
        assert row["on_list"] == sum({step, "sent"} <= each for each in took.values())
        assert row["of_sent"] == row["on_list"] / 41
    unique = sum("opened" in each for each in took.values())
    assert (report["conversions"], report["unique_visitors"]) == (conversions, unique)
    assert report["conversion_rate"] == conversions / unique

    proofs = {}
    for hit in hits:
        if hit["kind"] == "open" and hit["verdict"] == "valid" and hit["visitor"]:
            proofs.setdefault(hit["visitor"], set()).add(hit["evidence"])
    strongest = [next(each for each in ("probable", "proxy", "machine") if each in found) for found in proofs.values()]
    assert report["opened_by_evidence"] == {each: strongest.count(each) for each in ("machine", "proxy", "probable")}
    assert f"probable {strongest.count('probable')}" in run("funnel", "mailer/recounted")[1]

    for which in ("sent-not-opened", "opened-not-clicked", "clicked-not-converted", "converted", "clicked-not-opened"):
        code, out, _ = run("funnel", "mailer/recounted", "--who", which, "--format", "csv")
        did, _, did_not = which.partition("-not-")
        assert code == 0
        assert {int(row["visitor"]) for row in csv.DictReader(io.StringIO(out))} == {
            visitor for visitor, each in took.items() if did in each and did_not not in each
        }
    assert "never@example.org" in run("funnel", "mailer/recounted", "--who", "sent-not-opened")[1]


def test_a_list_is_read_as_services_write_it_and_counts_once(clickhouse, run, tmp_path):
    file = tmp_path / "list.csv"
    file.write_text(
        '\ufeffName;"Contact ID";Sent\nAnna;a-1;2026-11-01T09:00:00+01:00\n\nBen; b-2 ;1767225600\n"C;D";c-3;\n'
    )
    arguments = ("sent", "mailer/read", str(file), "--column", "Contact ID", "--time", "Sent")
    for _ in range(2):
        assert run(*arguments)[1] == "3 lines read; 3 subscribers are on the list of mailer/read\n"
    rows = client(clickhouse).query(
        "SELECT subscriber, sent_at FROM funnel WHERE campaign = 'read' ORDER BY subscriber"
    )
    assert rows.result_rows == [
        ("a-1", datetime(2026, 11, 1, 8)),
        ("b-2", datetime.fromtimestamp(1767225600, UTC).replace(tzinfo=None)),
        ("c-3", None),
    ]


def test_where_no_subscriber_is_kept_none_is_kept_of_a_list(clickhouse, run, monkeypatch):
    monkeypatch.setenv("PIXELTALLY_STORE_IP", "none")
    insert(clickhouse, "facts_in", [fact(NOW_MS, advertiser="mailer", campaign="unnamed", visitor=number("anna"))])
    run("sent", "mailer/unnamed", "-", typed="subscriber\nanna\nben\n")
    rows = (
        client(clickhouse).query("SELECT DISTINCT subscriber, sent FROM funnel WHERE campaign = 'unnamed'").result_rows
    )
    assert rows == [("", True)]
    code, out, _ = run("funnel", "mailer/unnamed")
    assert code == 0
    assert "0 conversions ÷ 1 unique visitors = 0.00%" in out
    assert "opened     1         1        50.0%    50.0%" in out


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "no column 'subscriber', it has: nothing"),
        ("email\na@b\n", "no column 'subscriber', it has: email"),
        ("subscriber,sent_at\na,yesterday\n", "line 2 of the list: 'yesterday' is no time"),
        ("subscriber\na\n\n \n", "line 4 of the list names no subscriber"),
        ('subscriber\na\n"' + "b" * 200_000, "line 3 of the list: field larger than field limit"),
        ("subscriber\njürgen\n".encode("cp1252"), "no UTF-8"),
        ("subscriber\na\n".encode("utf-16"), "no UTF-8"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_its_line(run, typed, sentence):
    code, _, said = run("sent", "mailer/refused", "-", typed=typed)
    assert code == 2
    assert sentence in said


def test_what_is_no_campaign_or_step_is_refused(run):
    assert run("funnel", "mailer")[0] == 2
    assert "names no campaign" in run("sent", "Mailer/x", "-", typed="")[2]
    code, _, said = run("funnel", "mailer/x", "--who", "opened-not-delivered")
    assert code == 2
    assert "say sent, opened, clicked, converted" in said
    code, out, _ = run("funnel", "mailer/empty", "--format", "csv")
    assert code == 0
    assert out.splitlines()[1] == "sent,0,0,,"
