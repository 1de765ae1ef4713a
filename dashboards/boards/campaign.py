"""Campaign: what a campaign, or what is chosen of it, reached and what came of it."""

from typing import Literal

from dashboards.boards.board import (
    COUNTED,
    GAPS,
    NAMED,
    OF_CAMPAIGN,
    OF_CREATIVE,
    UNIT_NAME,
    ZONE,
    Board,
    Place,
    counts,
    orders,
    origins,
    reached,
    visitors,
)
from dashboards.boards.money import DAILY, PACING, TERMS
from dashboards.panel import Column, Panel

KEY_FIGURES = Panel(
    id="campaign-key-figures",
    title="Key figures",
    description="CTR is valid clicks ÷ impressions, CVR conversions ÷ unique IPs, frequency impressions ÷ unique IPs."
    " Conversions name no creative: they are those of the whole campaign.",
    picture="stat",
    columns=(
        Column("impressions", "Impressions"),
        Column("uniques", "Unique IPs"),
        Column("frequency", "Frequency", "number"),
        Column("clicks", "Clicks"),
        Column("ctr", "CTR", "ratio"),
        Column("conversions", "Conversions"),
        Column("cvr", "CVR", "ratio"),
    ),
    sql=f"""
SELECT
    impressions, uniques, impressions / nullIf(uniques, 0) AS frequency, clicks,
    clicks / nullIf(impressions, 0) AS ctr, conversions, conversions / nullIf(uniques, 0) AS cvr
FROM
(
    SELECT sum(r.valid) AS impressions, uniqExactArray(r.visitors) AS uniques, sum(r.clicks) AS clicks
    FROM {reached(OF_CREATIVE)}
) AS i,
(SELECT count() AS conversions FROM {orders(OF_CAMPAIGN)}) AS o
""",
)

DAYS = Panel(
    id="campaign-days",
    title="Reach and frequency by day",
    description="Days of the time zone that the board is shown in. Unique IPs are distinct within the day.",
    picture="series",
    columns=(
        Column("day", "Day", "day"),
        Column("impressions", "Impressions"),
        Column("uniques", "Unique IPs"),
        Column("frequency", "Frequency", "number"),
    ),
    sql=f"""
SELECT
    toStartOfDay(start, {ZONE}) AS day, sum(r.valid) AS impressions, uniqExactArray(r.visitors) AS uniques,
    impressions / nullIf(uniques, 0) AS frequency
FROM {reached(OF_CREATIVE)}
GROUP BY day
ORDER BY day
""",
)

FREQUENCY = Panel(
    id="campaign-frequency",
    title="How often a visitor saw it",
    description="Visitors by their impressions over the range.",
    picture="bars",
    columns=(Column("seen", "Impressions", "text"), Column("visitors", "Unique IPs")),
    sql=f"""
SELECT if(times < 10, toString(times), '10 and more') AS seen, count() AS visitors
FROM
(
    SELECT visitor, count() AS times
    FROM impressions
    WHERE $__timeFilter(ts) AND {OF_CREATIVE} AND {COUNTED} AND visitor != 0
    GROUP BY visitor
)
GROUP BY seen
ORDER BY min(times)
""",
)

UNITS = Panel(
    id="campaign-units",
    title="Ad units and placements",
    description="By impressions. One visitor may count in several ad units. A click on a name narrows the board.",
    picture="table",
    columns=(
        *UNIT_NAME,
        Column("impressions", "Impressions", shaded=True),
        Column("uniques", "Unique IPs"),
        Column("frequency", "Frequency", "number"),
        Column("clicks", "Clicks"),
        Column("ctr", "CTR", "ratio", shaded=True),
    ),
    sql=f"""
SELECT
    advertiser, campaign, creative, placement, sum(r.valid) AS impressions, uniqExactArray(r.visitors) AS uniques,
    impressions / nullIf(uniques, 0) AS frequency, sum(r.clicks) AS clicks, clicks / nullIf(impressions, 0) AS ctr
FROM {reached(f"{NAMED} AND {OF_CREATIVE}")}
GROUP BY advertiser, campaign, creative, placement
HAVING sum(r.gross) > 0 OR clicks > 0
ORDER BY impressions DESC, clicks DESC, advertiser, campaign, creative, placement
LIMIT 500
""",
)

COUNTRIES = Panel(
    id="campaign-countries",
    title="Where",
    description="Impressions by country of the IP address, as far as it is known.",
    picture="map",
    columns=(Column("country", "Country", "text"), Column("impressions", "Impressions")),
    nothing="No address then has a country that is known; private ones have none.",
    sql=f"""
SELECT name AS country, sum(f.impressions) AS impressions
FROM {origins("country", OF_CREATIVE)}
WHERE name != ''
GROUP BY country
ORDER BY impressions DESC, country
""",
)


def _by(id: str, title: str, of: Literal["isp", "device"], description: str) -> Panel:
    return Panel(
        id=id,
        title=title,
        description=description,
        picture="bars",
        columns=(Column("name", title, "text"), Column("impressions", "Impressions")),
        sql=f"""
SELECT if(f.name = '', 'unknown', f.name) AS name, sum(f.impressions) AS impressions
FROM {origins(of, OF_CREATIVE)}
GROUP BY name
ORDER BY impressions DESC, name
LIMIT 15
""",
    )


PROVIDERS = _by("campaign-isps", "Internet provider", "isp", "Impressions by the IP address's provider.")
DEVICES = _by("campaign-devices", "Device", "device", "Impressions by the kind of device.")

_HOURS = range(24)
WEEK = Panel(
    id="campaign-week",
    title="Hour by weekday",
    description="Impressions by hour of the day, in the time zone that the board is shown in.",
    picture="heat",
    columns=(
        Column("weekday", "Weekday", "text"),
        *(Column(f"h{hour:02}", f"{hour:02}", shaded=True) for hour in _HOURS),
    ),
    sql=f"""
SELECT
    arrayElement(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'], day) AS weekday,
    {", ".join(f"sumIf(valid, hour = {hour}) AS h{hour:02}" for hour in _HOURS)}
FROM
(
    SELECT toDayOfWeek(start, 0, {ZONE}) AS day, toHour(start, {ZONE}) AS hour, valid
    FROM {counts(f"{OF_CREATIVE} AND valid > 0")}
)
GROUP BY day
ORDER BY day
""",
)

FUNNEL = Panel(
    id="campaign-funnel",
    title="Funnel",
    description="Visitors who saw the campaign, clicked, and converted, each once in each campaign. Conversions count"
    " whose click is known or whose visitor was seen.",
    picture="funnel",
    columns=(Column("step", "Step", "text"), Column("visitors", "Visitors")),
    seldom=True,
    sql=f"""
WITH clicked AS
(
    SELECT advertiser, campaign, visitor, id FROM clicks
    WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND verdict = 'valid' AND visitor != 0
)
SELECT each.1 AS step, each.2 AS visitors
FROM
(
    SELECT sum(of_campaign) AS seen
    FROM (SELECT uniqExactArray(v.visitors) AS of_campaign FROM {visitors(OF_CAMPAIGN)} GROUP BY advertiser, campaign)
) AS s,
(SELECT uniqExact(advertiser, campaign, visitor) AS clicked FROM clicked) AS c,
(
    SELECT countIf(is_clicks_order OR is_order AND was_seen) AS converted
    FROM
    (
        SELECT max(is = 'clicks order') AS is_clicks_order, max(is = 'order') AS is_order, max(is = 'seen') AS was_seen
        FROM
        (
            SELECT
                o.advertiser AS advertiser, o.campaign AS campaign, if(c.visitor = 0, o.visitor, c.visitor) AS visitor,
                if(c.visitor = 0, 'order', 'clicks order') AS is
            FROM {orders(OF_CAMPAIGN)}
            LEFT ANY JOIN clicked AS c ON c.id = o.click_id AND c.advertiser = o.advertiser AND c.campaign = o.campaign
            UNION ALL
            SELECT DISTINCT advertiser, campaign, arrayJoin(v.visitors) AS visitor, 'seen'
            FROM {visitors(OF_CAMPAIGN)}
            WHERE visitor IN (SELECT visitor FROM facts WHERE kind = 'conversion' AND $__timeFilter(ts))
        )
        GROUP BY advertiser, campaign, visitor
    )
) AS o
ARRAY JOIN [('Seen', seen), ('Clicked', clicked), ('Converted', converted)] AS each
""",
)

BOARD = Board(
    uid="pixeltally-campaign",
    title="Campaign",
    description="What a campaign reached, how often, where and when, and what came of it.",
    places=(
        Place(KEY_FIGURES, 24, 4),
        Place(DAYS, 14),
        Place(FREQUENCY, 10),
        Place(DAILY, 10),
        Place(PACING, 14),
        Place(UNITS, 24, 10),
        Place(COUNTRIES, 15, 11),
        Place(PROVIDERS, 9, 11),
        Place(WEEK, 24, 9),
        Place(DEVICES, 12),
        Place(FUNNEL, 12),
    ),
    scope=("advertiser", "campaign", "creative"),
    annotations=(TERMS, GAPS),
    refresh="5m",
    since="now-30d",
)
