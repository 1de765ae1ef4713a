"""A server's log goes through the whole pipeline: every number equals a recount of the file, however often it comes."""

import gzip
import json
import random
import re
import subprocess
import sys
import time
from collections import defaultdict

import pytest
from click.testing import CliRunner
from processes import BROWSER, wait_until

from pixeltally.cli import main

#: Noon, a month ago, UTC.
START = time.time() // 86_400 * 86_400 - 30.5 * 86_400


@pytest.fixture
def run(counting):
    def run(*arguments, code=0, text=None):
        done = CliRunner().invoke(main, ["import", *map(str, arguments)], input=text, env=counting.environ)
        assert done.exit_code == code, done.output
        return done.output

    return run


def line(target, at, address="192.0.2.7", asked="GET", status=200):
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at))
    return f'{address} - - [{stamp}] "{asked} {target} HTTP/1.1" {status} 43 "https://r/" "{BROWSER}"\n'


def log(campaign, count, seed=1):
    """Lines over three days: pixels, pages, and what is no hit."""
    draw, lines = random.Random(seed), []
    addresses = [f"198.51.100.{n}" for n in range(1, 250)] + [f"2001:db8::{n:x}" for n in range(1, 100)]
    for number in range(count):
        target = f"/p/logged/{campaign}/c{draw.randrange(3)}/blog.gif?cb={number}"
        odd = {
            "asked": draw.choice(["GET"] * 20 + ["HEAD", "POST"]),
            "status": draw.choice([200] * 20 + [304, 404, 502]),
        }
        target = draw.choice([target] * 9 + ["/robots.txt"])
        lines.append(line(target, START + number * 3 * 86_400 / count, draw.choice(addresses), **odd))
    return "".join(lines)


_LINE = re.compile(r'(\S+) - - \[(\S+) \S+\] "(\S+) /p/logged/(\S+?)/(\S+?)/blog.gif\S* HTTP/1.1" (\d+)')


def recount(text):
    """{(day, creative): (hits, distinct addresses)}, as awk and sort -u would say, of the lines that are hits."""
    found = defaultdict(list)
    for each in filter(None, map(_LINE.match, text.splitlines())):
        address, stamp, method, _, creative, status = each.groups()
        if method == "GET" and status[0] in "23":
            found[time.strptime(stamp[:11], "%d/%b/%Y")[:3], creative].append(address)
    return {place: (len(addresses), len(set(addresses))) for place, addresses in found.items()}


def counted(stack, campaign):
    """The same, as the view says."""
    rows = stack.query(
        "SELECT start, creative, impressions + duplicates, uniques FROM reach(period = 'day', tz = 'UTC')"
        f" WHERE {of(campaign)}"
    )
    return {(start.timetuple()[:3], creative): tuple(numbers) for start, creative, *numbers in rows}


def of(campaign):
    return f"advertiser = 'logged' AND campaign = '{campaign}'"


def is_counted(stack, campaign, text):
    wait_until(lambda: counted(stack, campaign) == recount(text), f"the recount of {campaign}", 10)
    ids = stack.query(f"SELECT count(), uniqExact(id) FROM impressions WHERE {of(campaign)}")
    hits = sum(hits for hits, _ in recount(text).values())
    assert ids == [(hits, hits)]


def test_a_log_is_counted_once_however_often_and_however_compressed(counting, run, tmp_path):
    text = log("whole", 2000)
    plain, packed = tmp_path / "access.log", tmp_path / "access.log.1.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    hits = sum(hits for hits, _ in recount(text).values())
    said = run(plain)
    assert f"2,000 lines\n  {hits:>12,} hits\n" in said
    assert said.endswith(f"{hits:,} hits are in ClickHouse\n")
    is_counted(counting, "whole", text)
    for again in (plain, packed, "-"):
        assert run(again, text=text).endswith(f"{hits:,} hits are in ClickHouse\n")
    time.sleep(1.5)  # for what a second copy would do
    is_counted(counting, "whole", text)


def test_logs_of_one_run_that_hold_the_same_count_once(counting, run, tmp_path):
    text = log("twice", 600)
    lines = text.splitlines(keepends=True)
    files = {"a.log": "".join(lines[:300]), "b.log": "".join(lines[:300]), "grown.log": text}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    hits = sum(hits for hits, _ in recount(text).values())
    said = run(*(tmp_path / name for name in files))
    assert said.endswith(f"\n{hits:,} hits are in ClickHouse\n")
    is_counted(counting, "twice", text)


def test_a_mark_of_the_byte_order_and_empty_lines_are_no_lines(counting, run, tmp_path):
    entry = {"ts": START, "status": 200, "request": {"client_ip": "203.0.113.1", "method": "GET"}}
    entry["request"]["uri"] = "/p/logged/marked/json.gif"
    combined = line("/p/logged/marked/combined.gif", START)
    for number, start in enumerate(("\ufeff" + combined, "\ufeff" + json.dumps(entry), "\n" + json.dumps(entry))):
        file = tmp_path / f"{number}.log"
        file.write_text(start + "\n")
        assert "1 hits are in ClickHouse" in run(file)
    rows = counting.query("SELECT creative, count() FROM impressions WHERE campaign = 'marked' GROUP BY 1 ORDER BY 1")
    assert rows == [("combined", 1), ("json", 2)]


def test_lines_that_are_mapped_later_are_counted_too(counting, run, tmp_path):
    file = tmp_path / "pages.log"
    paths = ["/blog/x", "/shop/x", "/help/x", "/p/logged/late/pixel.gif"]
    file.write_text("".join(line(paths[n % 4], START + n, f"203.0.113.{n % 9}") for n in range(40)))
    blog, shop, every = "/blog/*=logged/late/site", "/shop/*=logged/late/site", "*=logged/late/site"
    assert "20 hits are in ClickHouse" in run(file, "--map", blog)
    assert "20 hits are in ClickHouse" in run(file, "--map", shop)
    for maps in ([blog, shop], [every], [every, shop]):
        said = run(file, *(argument for each in maps for argument in ("--map", each)))
        assert f"{30 if maps == [blog, shop] else 40} hits are in ClickHouse" in said
    rows = counting.query(
        "SELECT creative, params['path'], count(), uniqExact(id), uniqExact(ts) FROM impressions"
        " WHERE campaign = 'late' GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert rows == [("pixel", "", 10, 10, 10), *(("site", path, 10, 10, 10) for path in sorted(paths[:3]))]


def test_lines_that_were_too_old_are_counted_when_they_are_no_more(counting, run, tmp_path, monkeypatch):
    file = tmp_path / "access.log"
    times = [START + n if n % 3 else START + 20 * 86_400 + n for n in range(60)]
    file.write_text("".join(line("/p/logged/older/banner.gif", at, f"203.0.113.{int(at) % 7}") for at in times))
    monkeypatch.setitem(counting.environ, "PIXELTALLY_RETENTION_DAYS", "20")
    assert "20 hits are in ClickHouse" in run(file, code=1)
    monkeypatch.delitem(counting.environ, "PIXELTALLY_RETENTION_DAYS")
    assert "60 hits are in ClickHouse" in run(file)
    ids = counting.query(f"SELECT count(), uniqExact(id), uniqExact(ts) FROM impressions WHERE {of('older')}")
    assert ids == [(60, 60, 60)]


def test_a_log_is_never_overwritten_by_its_bad_lines(run, tmp_path):
    file = tmp_path / "access.log"
    file.write_text(text := line("/p/logged/kept/banner.gif", START) + "\x1b]0;title\x07\n")
    assert "would overwrite the log" in run(file, "--bad", file, code=2)
    assert file.read_text() == text
    assert "can't be read" in run(file, tmp_path / "nowhere", code=2)
    said = run(file, code=1)
    assert r"\x1b]0;title\x07" in said
    assert "\x1b" not in said


def test_a_log_that_grows_is_counted_as_far_as_it_is_new(counting, run, tmp_path):
    file, text = tmp_path / "access.log", log("grown", 300)
    lines = text.splitlines(keepends=True)
    for end in (100, 200, 300):
        file.write_text("".join(lines[:end]))
        run(file)
    is_counted(counting, "grown", text)


def test_an_import_that_was_killed_is_taken_up(counting, tmp_path):
    file, text = tmp_path / "access.log", log("killed", 20_000)
    file.write_text(text)
    command = [sys.executable, "-m", "pixeltally", "import", str(file)]
    with subprocess.Popen(command, env=counting.environ, stdout=subprocess.DEVNULL) as killed:
        wait_until(lambda: counting.query(f"SELECT 1 FROM impressions WHERE {of('killed')}"), "the first of it", 30)
        killed.kill()
    done = subprocess.run(command, env=counting.environ, capture_output=True, text=True, check=True)
    assert "hits are in ClickHouse" in done.stdout
    is_counted(counting, "killed", text)


def test_pages_of_any_site_are_counted_as_views(counting, run, tmp_path):
    asked = [{"client_ip": f"203.0.113.{n % 7}", "method": "GET", "uri": f"/blog/{n % 3}?s=x"} for n in range(60)]
    entries = [{"ts": START + n, "status": 200, "request": request} for n, request in enumerate(asked)]
    file = tmp_path / "caddy.json"
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    maps = ("--map", "/blog/*=logged/pages/blog")
    for _ in range(2):
        assert "60 hits are in ClickHouse" in run(file, *maps)
    # Another map counts the same lines as another ad unit's, and leaves the first alone.
    assert "20 hits are in ClickHouse" in run(file, "--map", "/blog/1=logged/pages/first")
    rows = counting.query(
        "SELECT creative, count(), uniqExact(ip), uniqExact(params['path']) FROM impressions"
        " WHERE campaign = 'pages' AND kind = 'view' GROUP BY 1 ORDER BY 1"
    )
    assert rows == [("blog", 60, 7, 3), ("first", 20, 7, 1)]


def test_what_cannot_be_counted_is_told_and_kept(counting, run, tmp_path):
    good = line("/p/logged/partly/banner.gif", START)
    old = line("/p/logged/partly/banner.gif", START - 86_400 * 400)
    bad = [good.replace("+0000", "+2500"), line("/p/logged/partly.gif", START), "\x16\x03 no line at all\n"]
    file, kept = tmp_path / "access.log", tmp_path / "bad.log"
    file.write_text("".join([good, *bad, "\n", old, old]))
    said = run(file, "--bad", kept, code=1)
    assert "2 old: older than PIXELTALLY_RETENTION_DAYS=400\n" in said
    assert "1 bad: there is no such time zone\n" in said
    assert "line 3: bad-name: the path names no ad unit: 192.0.2.7" in said
    assert said.endswith("1 hits are in ClickHouse\n")
    assert kept.read_text() == "".join(bad)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["/nowhere"], "/nowhere can't be read"), (["-", "--map", "x"], "--map x is not GLOB="), ([], "Missing argument")],
)
def test_wrong_use_is_said(run, arguments, said):
    assert said in run(*arguments, code=2)


def test_without_streams_an_import_says_what_is_missing(tmp_path):
    nobody = {"PIXELTALLY_DATA": str(tmp_path), "PIXELTALLY_CLICKHOUSE_PORT": "1"}
    done = CliRunner().invoke(main, ["import", "-"], input="", env=nobody)
    assert (done.exit_code, "ClickHouse doesn't answer" in done.output) == (2, True)
