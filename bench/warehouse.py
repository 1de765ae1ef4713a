"""What questions cost ClickHouse: `python -m bench.warehouse [--rows N]`.

Of a month's hits that are made inside a ClickHouse of its own: each panel of each board, over the last day and over
the month, and reach by months. Each is asked beside the same question of plain views, which count all from
`facts FINAL`, in the same run: the ratio says how much less CPU time it takes. Figures are by the clock and CPU time,
each the least of three where it is asked three times: what takes long is asked once, as plain views are, and of more
rows than `PLAIN_ROWS` these are not asked at all. A question that would take more memory than one may is refused.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import psutil
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from bench import month
from bench.processes import cpu_s
from bench.table import Row, say
from dashboards.boards import TENANT_BOARDS, network
from dashboards.live.view import View
from dashboards.macros import expand
from pixeltally.database import DATABASE, connect
from pixeltally.settings import Settings
from sinks import charges, slices

SPANS = ("24h", "30d")
TRIES = 3
LONG_S = 2.0

PLAIN = "plain"
PLAIN_ROWS = 10_000_000

_SAME = ("facts", "impressions", "opens", "clicks", "terms_set")
_COUNTS = """
    advertiser, campaign, creative, placement, countIf(image) AS gross,
    countIf(image AND verdict != 'valid' AND NOT duplicate) AS invalid, countIf(image AND duplicate) AS duplicates,
    countIf(image AND counted) AS valid, countIf(kind = 'click' AND counted) AS clicks,
    sumMapIf(map(verdict, 1), image AND verdict != 'valid' AND NOT duplicate) AS reasons
"""
_FACTS = f"""
(
    SELECT
        *, kind IN ('impression', 'open', 'view') AS image, verdict = 'valid' AND NOT duplicate AS counted,
        toDate(ts, 'Europe/Berlin') AS day
    FROM {DATABASE}.facts FINAL
)
"""

#: What panels read, of facts alone.
_VIEWS = {
    "open_parts": f"SELECT toStartOfMinute(ts) AS minute, 1 AS open, {_COUNTS} FROM {_FACTS} GROUP BY ALL",
    "counted_parts": f"SELECT toStartOfMinute(ts) AS slice, {_COUNTS} FROM {_FACTS} WHERE 0 GROUP BY ALL",
    "slice_visitors": f"""
SELECT toStartOfFifteenMinutes(ts) AS slice, advertiser, campaign, creative, placement, [visitor] AS visitors
FROM {_FACTS}
WHERE image AND verdict = 'valid'
""",
    "campaign_reach": f"""
SELECT
    toStartOfMonth(day) AS start, advertiser, campaign, countIf(image AND counted) AS impressions,
    uniqExactIf(visitor, image AND verdict = 'valid') AS uniques, countIf(image AND duplicate) AS duplicates
FROM {_FACTS}
GROUP BY ALL
""",
    "orders_between": f"""
SELECT * FROM
(
    SELECT * FROM {_FACTS} WHERE kind = 'conversion'
    ORDER BY NOT counted, ts, id
    LIMIT 1 BY advertiser, campaign, if(`order` = '', toString(id), concat('order ', `order`))
)
WHERE counted AND ts >= {{since:DateTime64(3)}} AND ts < {{until:DateTime64(3)}}
""",
    "origins_between": f"""
SELECT
    advertiser, campaign, creative, placement, count() AS impressions,
    if({{of:String}} = 'country', country, if({{of:String}} = 'isp', isp, device)) AS name
FROM {_FACTS}
WHERE image AND counted AND ts >= {{since:DateTime}} AND ts < {{until:DateTime}}
GROUP BY ALL
""",
    "charges_lately": f"""
SELECT advertiser, campaign, day, currency, price / 1000 * if(basis = 'unique', c.uniques, c.valid) AS spent
FROM
(
    SELECT advertiser, campaign, day, sum(valid) AS valid, sum(uniques) AS uniques
    FROM
    (
        SELECT advertiser, campaign, day, countIf(image AND counted) AS valid, 0 AS uniques FROM {_FACTS} GROUP BY ALL
        UNION ALL
        SELECT advertiser, campaign, first, 0, count()
        FROM
        (
            SELECT advertiser, campaign, visitor, min(day) AS first
            FROM {_FACTS} WHERE image AND verdict = 'valid'
            GROUP BY advertiser, campaign, visitor, toStartOfMonth(day)
        )
        GROUP BY ALL
    )
    GROUP BY ALL
) AS c
INNER JOIN {DATABASE}.terms_set AS t USING (advertiser, campaign)
""",
}

_REACH = "SELECT * FROM campaign_reach{of} WHERE start = toStartOfMonth(today() {when})"
_OF = "(period = 'month', tz = 'Europe/Berlin')"


class Cost(NamedTuple):
    """Of one question, milliseconds."""

    clock_ms: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{self.clock_ms:,.0f}, {self.cpu_ms:,.0f} ms"


@click.command()
@click.option("--rows", default=3_000_000, show_default=True)
def main(rows: int) -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as name, month.site(Path(name)) as settings:
        client = month.fill(settings, rows)
        [(now,)] = client.query("SELECT now64(3)").result_rows
        slices.count(client, now)
        charges.keep(client, now)
        plain = _plain(settings, client) if rows <= PLAIN_ROWS else None
        click.echo(f"\r{rows:,} hits of {month.DAYS} days{'':40}\n")
        _print(settings, client, plain)


def _plain(settings: Settings, client: Client) -> Client:
    """A connection that sees the plain views in the place of Pixeltally's."""
    client.command(f"CREATE DATABASE {PLAIN}")
    plain = connect(settings, PLAIN)
    for view in _SAME:
        plain.command(f"CREATE VIEW {view} AS SELECT * FROM {DATABASE}.{view}")
    for view, query in _VIEWS.items():
        plain.command(f"CREATE VIEW {view} AS {query}")
    return plain


def _print(settings: Settings, client: Client, plain: Client | None) -> None:
    engine = _engine(settings)
    click.echo(Row("question", "clock, CPU", "plain views' CPU"))
    for title, when in (("the month before", "- toIntervalMonth(1)"), ("this month", "")):
        own = _cost(engine, client, _REACH.format(of=_OF, when=when), {}, TRIES)
        peer = _cost(engine, plain, _REACH.format(of="", when=when), {}) if plain else None
        _row(f"reach of campaigns, {title}", own, peer)
    costs = "SELECT sum(spent) FROM charges_between(first = toStartOfMonth(today()), last = today())"
    _row("days' costs, as the sink keeps them, this month", _cost(engine, client, costs, {}, TRIES), None)
    for span in SPANS:
        found = []
        for title, sql, parameters in _panels(span):
            own = _cost(engine, client, sql, parameters, TRIES)
            found.append(own)
            _row(f"{title}, {span}", own, _cost(engine, plain, sql, parameters) if plain else None)
        answered = [each for each in found if each]
        refused = f"; {len(found) - len(answered)} refused" if len(answered) < len(found) else ""
        for title, quantile in (("median", 9), ("95 of 100", 18)):
            of_all = (statistics.quantiles(each, n=20)[quantile] for each in zip(*answered, strict=True))
            goal = "200 ms" if quantile == 18 else ""
            click.echo(Row(f"of panels, {span}: {title}", f"{Cost(*of_all)}{refused}", goal=goal))


def _row(what: str, own: Cost | None, peer: Cost | None) -> None:
    ratio = f"{peer.cpu_ms / own.cpu_ms:.1f} ×" if own and peer else ""
    click.echo(f"\r{Row(what, str(own or 'refused'), ratio)}")


def _panels(span: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Titles, SQL and parameters of the boards' panels."""
    for board in (network.BOARD, *TENANT_BOARDS):
        view = View(board, span=span)
        window, (texts, parameters) = view.window(time.time()), view.variables()
        for panel in board.panels:
            if panel is network.KEY_FIGURES:
                continue  # it has dead letters, which are not in facts
            sql = expand(panel.sql.strip(), window.start_s, window.end_s, window.step_s, texts, until="<")
            yield (
                f"{board.title}: {panel.title}",
                sql,
                {name: parameters[name] for name in parameters if f"{{{name}:" in sql},
            )


def _engine(settings: Settings) -> psutil.Process:
    """The process that answers at ClickHouse's port."""
    return next(
        each
        for each in psutil.Process().children(recursive=True)
        if any(place.laddr.port == settings.clickhouse_port for place in each.net_connections())
    )


def _cost(engine: psutil.Process, client: Client, sql: str, parameters: dict[str, str], tries: int = 1) -> Cost | None:
    """None where ClickHouse refuses the question: it would take more memory than one may."""
    say(sql.split("\n", 1)[0][:50])
    costs = []
    for _ in range(tries):
        began, before = time.monotonic(), cpu_s([engine])
        try:
            client.query(sql, parameters=parameters or None)
        except DatabaseError as error:
            if "MEMORY_LIMIT_EXCEEDED" in str(error):
                return None
            raise
        costs.append((time.monotonic() - began, cpu_s([engine]) - before))
        if costs[-1][0] > LONG_S:
            break
    clock_s, spent_s = (min(each) for each in zip(*costs, strict=True))
    return Cost(1000 * clock_s, max(1000 * spent_s, 1))


if __name__ == "__main__":
    main()
