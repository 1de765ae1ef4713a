"""`pixeltally dead`: letters are shown; those that can be counted by now are counted once, however often replayed."""

import json
import time

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from processes import BROWSER, wait_until

from ingest import packing
from pixeltally import topics
from pixeltally.cli import main
from pixeltally.hit import Dead
from pixeltally.identity import hit_id
from pixeltally.partition import key, partitions
from pixeltally.settings import Settings


def produce(stack, topic, line, partition=0):
    producer = Producer({"bootstrap.servers": f"127.0.0.1:{stack.ports['KAFKA']}"})
    producer.produce(topic, line, partition=partition)
    assert producer.flush(30) == 0


@pytest.fixture
def run(counting):
    def run(*arguments, code=0, text=None):
        done = CliRunner().invoke(main, ["dead", *arguments], input=text, env=counting.environ)
        assert done.exit_code == code, done.output
        return done.output

    return run


def letter(stack, reason, origin, line):
    """Put a dead letter where the tiers put theirs, wait for it, and give its id."""
    node, _, seq = origin.removeprefix("spool ").partition("@")
    id = hit_id(0, node, int(seq)) if origin.startswith("spool") else hit_id(0, origin, 0)
    dead = Dead(id, time.time_ns() // 1_000_000, reason, origin, line)
    produce(stack, topics.DEAD, json.dumps({name: getattr(dead, name) for name in dead.__struct_fields__}))
    wait_until(lambda: stack.query(f"SELECT 1 FROM dead_letters WHERE id = '{id}'"), "the letter", 15)
    return id


def request(campaign, at, event="open", address="192.0.2.1"):
    uri = f"/p/dead/{campaign}/banner.gif?e={event}"
    return json.dumps({"time": at, "uri": uri, "peer": address, "user_agent": BROWSER})


def counts(stack, campaign):
    """(rows, ids, valid rows) of impressions, (gross, valid, uniques) of minutes."""
    [rows] = stack.query(f"SELECT count(), uniqExact(id), countIf(NOT duplicate) FROM impressions WHERE {of(campaign)}")
    [minutes] = stack.query(f"SELECT sum(gross), sum(valid), sum(uniques) FROM minutes WHERE {of(campaign)}")
    return rows, minutes


def of(campaign):
    return f"advertiser = 'dead' AND campaign = '{campaign}'"


def is_counted_once(stack, campaign):
    wait_until(
        lambda: counts(stack, campaign) == ((1, 1, 1), (1, 1, 1)), f"{campaign} once: {counts(stack, campaign)}", 10
    )


def test_letters_that_todays_rules_can_count_are_counted_once(counting, run):
    times = {"now": time.time(), "month-ago": time.time() - 86_400 * 30}
    ids = {
        campaign: letter(counting, "unknown-event", f"spool shop@{seq}", request(campaign, at))
        for seq, (campaign, at) in enumerate(times.items())
    }
    assert "would count it: open of dead/now/banner" in run("show", ids["now"])
    for answer in ("2 put back\n0 had been", "0 put back\n2 had been", "0 put back\n2 had been"):
        assert run("replay", *ids.values()).startswith(answer)
    time.sleep(1.5)  # for what a second copy would do to the open minute
    for seq, (campaign, at) in enumerate(times.items()):
        is_counted_once(counting, campaign)
        [(found,)] = counting.query(
            f"SELECT toString(id) FROM impressions WHERE advertiser = 'dead' AND campaign = '{campaign}'"
        )
        assert found == hit_id(round(at * 1000), "shop", seq), "the id that the shipper would have given"
    assert "it has been put back" in run("show", ids["now"])


def test_a_run_that_was_killed_after_sending_counts_nothing_twice(counting, run):
    line = request("killed", time.time() - 5)
    id = letter(counting, "unknown-event", "spool shop@99", line)
    settings = Settings.from_env(counting.environ)
    hit = packing.judgement(settings)(line.encode(), "shop", 99)
    hit.node, hit.seq = "dead-0000", 0
    [(topic, partition, value)] = packing.messages([hit], 4)
    produce(counting, topic, value, partition)
    assert run("replay", id).startswith("0 put back\n1 had been")
    is_counted_once(counting, "killed")


def test_lines_are_mended_by_hand(counting, run, tmp_path):
    now = time.time_ns() // 1_000_000
    hit = {
        "id": "?",
        "ts": "now",
        "kind": "view",
        "advertiser": "dead",
        "visitor": 5,
        "node": "x",
        "seq": 1,
        "user_agent": BROWSER,
    }
    spool = letter(counting, "unknown-event", "spool shop@1000", request("spool", now / 1000, "melt"))
    origin = f"{topics.FACTS}/0@{now}#0"
    fact = {**hit, "campaign": "fact", "creative": "banner", "ts": now, "verdict": "valid", "version": 9}
    fact_id = letter(counting, "refused-by-clickhouse", origin, json.dumps(fact))
    produce(counting, topics.HITS, json.dumps({**hit, "campaign": "hit", "creative": "banner"}), 1)
    found = "SELECT toString(id) FROM dead_letters WHERE reason = 'not-a-hit' AND line LIKE '%\"hit\"%'"
    wait_until(lambda: counting.query(found), "the bad line among the dead", 15)
    hit_letter = counting.query(found)[0][0]

    ids = (spool, fact_id, hit_letter)
    assert "unknown-event: e= is none of" in run("show", spool)
    assert "Expected `int`, got `str` - at `$.ts`" in run("show", hit_letter)
    assert "can't be counted: unknown-event" in run("replay", spool, code=1)
    shown = {said["id"]: said for said in map(json.loads, run("show", *ids, "--format", "json").splitlines())}
    shown[spool]["line"] = shown[spool]["line"].replace("melt", "view")
    shown[fact_id]["line"] = json.dumps({**fact, "id": "01890a5d-ac96-774b-bcce-b302099a8057"})
    shown[hit_letter]["line"] = {**json.loads(shown[hit_letter]["line"]), "ts": now}
    file = tmp_path / "mended"
    file.write_text("\n".join(map(json.dumps, shown.values())))
    assert run("replay", "--mended", str(file)).startswith("3 put back\n0 had")
    assert run("replay", "--mended", "-", text=file.read_text()).startswith("0 put back\n3 had")
    for campaign in ("spool", "hit"):
        is_counted_once(counting, campaign)
    # Its minute was counted when the fact was made, here never.
    assert counts(counting, "fact") == ((1, 1, 1), (0, 0, 0))


def test_letters_are_counted_by_reason_and_place(counting, run):
    campaign = "listed"
    for number in range(3):
        letter(counting, "bad-order", f"spool list@{number}", request(campaign, 1.5, "melt"))
    rows = [json.loads(line) for line in run("list", "--reason", "bad-order", "--format", "json").splitlines()]
    assert [(row["reason"], row["found_in"], row["letters"], row["put_back"]) for row in rows] == [
        ("bad-order", "spool", 3, 0)
    ]
    assert "bad-order" in run("list")
    assert run("list", "--reason", "bad-order", "--since", "2100-01-01") == "No dead letters.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "name the letters"),
        (["replay"], "name the letters"),
        (["show", "7"], "is the id of a dead letter"),
        (["show", hit_id(0, "nobody", 0)], "there is no dead letter"),
        (["replay", "--mended", "-"], "line 1 of the mended letters"),
        (["replay", "--mended", "-", "--reason", "bad-name"], "leave out"),
    ],
)
def test_wrong_use_is_said_in_one_sentence(run, arguments, said):
    output = run(*arguments, code=2, text="no JSON")
    assert said in output
    assert len(output.strip().splitlines()) == 1


def test_who_cannot_be_asked_is_said(tmp_path):
    nobody = {"PIXELTALLY_DATA": str(tmp_path), "PIXELTALLY_CLICKHOUSE_PORT": "1"}
    done = CliRunner().invoke(main, ["dead", "list"], env=nobody)
    assert (done.exit_code, "ClickHouse doesn't answer" in done.output) == (2, True)


def test_a_put_back_hit_lies_where_its_visitors_hits_lie(counting):
    settings = Settings.from_env(counting.environ)
    hits = [
        packing.judgement(settings)(request("place", 1.5, address=f"192.0.2.{n}").encode(), "n", n) for n in range(9)
    ]
    for _, partition, value in packing.messages(hits, 4):
        for line in map(json.loads, value.splitlines()):
            assert partitions([key(line["advertiser"], line["campaign"], line["visitor"])], 4) == [partition]
