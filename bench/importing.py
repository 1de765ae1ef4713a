"""How fast a server's log is imported, beside GoAccess: `make bench`, or `python -m bench.importing [--lines N]`.

The same file, one after the other: GoAccess reads it, looks its addresses' countries and networks up in the files that
streams look them up in, and writes its report; `pixeltally import` sends it through the whole pipeline (Kafka, streams,
sink, ClickHouse) of a running stack that has live hits, and is done when ClickHouse has all of it. Uniques per day must
equal what awk and sort say of the lines.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import click
import clickhouse_connect
import psutil
from clickhouse_connect.driver.client import Client
from fake_useragent import UserAgent

from streams import mmdb

ADDRESSES = 100_000
DAYS = 3
PARTS = ("import", "broker", "streams", "sink", "clickhouse")

_AWK = """awk '{print substr($4, 2, 11), $1}' "$0" | sort -u | cut -d' ' -f1 | uniq -c | awk '{print $2, $1}'"""


@click.command()
@click.option("--lines", default=1_000_000, show_default=True)
def main(lines: int) -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "access.log"
        write_log(log, lines)
        click.echo(f"{lines:,} lines, {log.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores\n")
        goaccess_s = _goaccess(log)
        with _stack(folder / "data") as (stack, environ):
            _live_hits(environ)
            import_s, cpu_s = _import(log, stack, environ)
            _print(lines, goaccess_s, import_s, cpu_s)
            client = clickhouse_connect.get_client(
                host="127.0.0.1", port=int(environ["PIXELTALLY_CLICKHOUSE_PORT"]), database="pixeltally"
            )
            is_equal = _check(client, log, lines)
            click.echo(f"{'memory of streams':40}{_streams_mb(stack):>8,.0f} MB")
    sys.exit(0 if is_equal else 1)


def write_log(path: Path, lines: int) -> None:
    """A month-old log of three days, in the combined format: five ad units of four publishers, skewed visitors."""
    draw, agents = random.Random(1), UserAgent()  # noqa: S311
    browsers = [agents.random for _ in range(200)]
    addresses = [".".join(str(draw.randrange(20, 220)) for _ in range(4)) for _ in range(ADDRESSES)]
    start = time.time() - 30 * 86_400
    with path.open("w") as file:
        for number in range(lines):
            stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(start + number * DAYS * 86_400 / lines))
            unit = f"acme/spring/banner{draw.randrange(5)}/site{draw.randrange(4)}"
            address = addresses[int(ADDRESSES * draw.random() ** 2)]
            file.write(
                f'{address} - - [{stamp}] "GET /p/{unit}.gif?cb={draw.randrange(10**9)} HTTP/1.1" 200 43'
                f' "https://site.example/page/{draw.randrange(500)}" "{draw.choice(browsers)}"\n'
            )


def _goaccess(log: Path) -> float:
    """Seconds that GoAccess takes; 0 where it isn't installed."""
    goaccess = shutil.which("goaccess")
    if goaccess is None:
        click.echo("GoAccess is not installed: the ratio to it is missing. Install your system's package.", err=True)
        return 0.0
    for name in mmdb.INSTALLED:
        log.with_name(name).write_bytes(mmdb.read("", name))
    geo = [f"--geoip-database={log.with_name(name)}" for name in mmdb.INSTALLED]
    began = time.monotonic()
    subprocess.run(
        [goaccess, str(log), "--log-format=COMBINED", "--no-global-config", "--no-progress", *geo, "-o", f"{log}.json"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - began


@contextmanager
def _stack(data: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """A running `pixeltally up`, and the environment that reaches it."""
    ports = {f"PIXELTALLY_{name}_PORT": _free_port() for name in ("INGEST", "LIVE", "KAFKA", "CLICKHOUSE")}
    environ = {**os.environ, **ports, "PIXELTALLY_DATA": str(data)}
    command = [sys.executable, "-m", "pixeltally", "up"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout
            if not any(line == "ready\n" for line in process.stdout):
                sys.exit("`pixeltally up` ended before it was ready")
            yield psutil.Process(process.pid), environ
        finally:
            process.terminate()


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def _live_hits(environ: dict[str, str]) -> None:
    """Move every partition's watermark to now: what is imported then is of the past."""
    for number in range(200):
        url = f"http://127.0.0.1:{environ['PIXELTALLY_INGEST_PORT']}/p/live/live/{number}.gif?s={number}"
        urlopen(url).close()
    time.sleep(5)


def _import(log: Path, stack: psutil.Process, environ: dict[str, str]) -> tuple[float, dict[str, float]]:
    """(seconds until ClickHouse has all of it, CPU seconds of each part)."""
    before = _cpu_s(stack)
    own = os.times()
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "pixeltally", "import", str(log)], env=environ, check=False)
    took, times = time.monotonic() - began, os.times()
    if done.returncode:
        sys.exit("not all of the log was imported")
    spent = {name: after - before[name] for name, after in _cpu_s(stack).items()}
    return took, {
        **spent,
        "import": times.children_user + times.children_system - own.children_user - own.children_system,
    }


def _cpu_s(stack: psutil.Process) -> dict[str, float]:
    found = dict.fromkeys(PARTS, 0.0)
    for process in stack.children(recursive=True):
        command = " ".join(process.cmdline())
        for name in PARTS:
            if f"pixeltally {name}" in command:
                times = process.cpu_times()
                found[name] += times.user + times.system
    return found


def _streams_mb(stack: psutil.Process) -> float:
    ours = [each for each in stack.children(recursive=True) if "pixeltally streams" in " ".join(each.cmdline())]
    return float(sum(each.memory_info().rss for each in ours) / 1e6)


def _print(lines: int, goaccess_s: float, import_s: float, cpu_s: dict[str, float]) -> None:
    click.echo(f"{'':32}{'seconds':>10}{'lines/s':>12}{'ratio':>8}")
    for name, seconds in (("GoAccess", goaccess_s), ("pixeltally import", import_s)):
        if seconds:
            click.echo(f"{name:32}{seconds:>10.1f}{lines / seconds:>12,.0f}{goaccess_s / seconds:>8.1f}")
    click.echo(f"\n{'CPU, µs a line':32}" + "".join(f"{name:>12}" for name in (*PARTS, "all")))
    each = [cpu_s[name] / lines * 1e6 for name in PARTS]
    click.echo(f"{'':32}" + "".join(f"{cost:>12.1f}" for cost in (*each, sum(each))))


def _check(client: Client, log: Path, lines: int) -> bool:
    """Whether what was counted is what the lines say; says so, and what the views take afterwards."""
    awk = subprocess.run(["/bin/sh", "-c", _AWK, str(log)], capture_output=True, text=True, check=True).stdout
    expected = {day: int(count) for day, count in map(str.split, awk.splitlines())}
    time.sleep(2)  # minutes are told once a second
    rows = client.query(
        "SELECT formatDateTime(ts, '%d/%b/%Y') AS day, uniqExact(visitor), count(), countIf(verdict = 'valid')"
        " FROM impressions WHERE advertiser = 'acme' GROUP BY day"
    ).result_rows
    exact = {day: uniques for day, uniques, *_ in rows} == expected and sum(row[2] for row in rows) == lines
    click.echo(f"\nvisitors per day, beside awk | sort -u: {'equal' if exact else f'NOT EQUAL: {rows} {expected}'}")
    click.echo(f"hits that are valid: {sum(row[3] for row in rows) / lines:.1%}")
    valid = (
        "uniqExactIf(visitor, verdict = 'valid') AS uniques FROM impressions WHERE advertiser = 'acme' GROUP BY start"
    )
    reach = "uniques FROM advertiser_reach(period = 'day', tz = 'UTC') WHERE advertiser = 'acme'"
    same = "SELECT sum(1) FROM (SELECT toDate(ts) AS start, {} INTERSECT SELECT start, {})"
    days = client.query(same.format(valid, reach)).result_rows[0][0]
    click.echo(f"uniques of the valid per day, in `reach`: {'equal' if days == len(rows) else 'NOT EQUAL'}")
    late = client.query("SELECT countIf(late), count() FROM minute_rows").result_rows[0]
    click.echo(f"rows in minute_rows: {late[1]:,}, of which late: {late[0]:,}")
    for view in ("minutes", "reach(period = 'day', tz = 'UTC')", "impressions"):
        began = time.monotonic()
        client.query(f"SELECT count() FROM (SELECT * FROM {view})")
        click.echo(f"{view:40}{time.monotonic() - began:>8.2f} s")
    return exact and days == len(rows)


if __name__ == "__main__":
    main()
