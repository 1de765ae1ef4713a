"""What campaigns cost, in the campaigns' own days, and what their plans say.

Amounts are those of the view `charges`, to the last decimal, as they were some seconds ago; only those of one currency
are ever added.
"""

from dashboards.boards.board import CAMPAIGN_NAME, OF_CAMPAIGN, ZONE, Annotation
from dashboards.panel import Column, Panel

#: Days that the range touches, and the day from which on they are not over.
_FIRST, _LAST, _OPEN = f"toDate($__fromTime, {ZONE})", f"toDate($__toTime - 1, {ZONE})", f"toDate($__toTime, {ZONE})"

SPEND = Panel(
    id="network-spend",
    title="Spend",
    description="Days that the range touches, as campaigns' terms price them. The change is that of days that are"
    " over, against as many before. Days whose cost can't be told any more are left out.",
    picture="stat",
    columns=(
        Column("currency", "Currency", "text"),
        Column("spent", "Spend", "number", note="{over} on days that are over, {before} before them"),
        Column("change", "Spend: change", "change"),
        Column("over", "Of days that are over", "number", shown=False),
        Column("before", "Before them", "number", shown=False),
    ),
    nothing="No campaign with terms was counted then; `pixeltally campaign set` says what one costs.",
    sql=f"""
WITH {_FIRST} AS from_day, {_LAST} AS to_day, least({_OPEN}, to_day + 1) AS open
SELECT
    currency, sumIf(cost, day >= from_day) AS spent, over / nullIf(before, 0) - 1 AS change,
    sumIf(cost, day >= from_day AND day < open) AS over, sumIf(cost, day < from_day) AS before
FROM
(
    SELECT day, currency, assumeNotNull(toFloat64(spent)) AS cost
    FROM charges_lately
    WHERE day >= from_day - (open - from_day) AND day <= to_day AND spent IS NOT NULL
)
GROUP BY currency
ORDER BY spent DESC, currency
""",
)


def _plans(of: str) -> str:
    """The plan that was set last for each campaign, and which part of it is over at the end of the range, by the
    campaign's own clock."""
    return f"""
    SELECT
        advertiser, campaign, currency, toFloat64(budget) AS budget, plan_start, plan_end,
        dateDiff('day', plan_start, plan_end) + 1 AS days,
        parseDateTimeBestEffort(formatDateTime($__toTime, '%F %T', if(timezone = '', 'UTC', timezone)), 'UTC') AS clock,
        least(greatest(dateDiff('second', toDateTime(assumeNotNull(plan_start), 'UTC'), clock) / (days * 86400), 0), 1)
            AS elapsed
    FROM (SELECT * FROM terms_set WHERE {of} ORDER BY set_at DESC LIMIT 1 BY advertiser, campaign)
    WHERE budget > 0 AND plan_start IS NOT NULL
"""


def pacing(of: str) -> str:
    """Plans beside what was spent by the end of the range; NULL where that can't be told any more.

    `of` is a condition on advertiser and campaign.
    """
    return f"""
SELECT
    p.advertiser AS advertiser, p.campaign AS campaign, p.currency AS currency, any(p.budget) AS budget,
    any(p.budget * p.elapsed) AS planned,
    if(countIf(c.campaign != '' AND c.spent IS NULL) > 0, NULL, ifNull(sum(toFloat64(c.spent)), 0)) AS spent,
    spent / nullIf(planned, 0) AS pace, spent / budget AS used, any(p.elapsed) AS elapsed,
    toString(any(p.plan_end)) AS ends
FROM ({_plans(of)}) AS p
LEFT JOIN (SELECT advertiser, campaign, currency, day, spent FROM charges_lately WHERE {of}) AS c
ON c.advertiser = p.advertiser AND c.campaign = p.campaign AND c.currency = p.currency
    AND c.day >= p.plan_start AND c.day <= least(p.plan_end, toDate(p.clock))
GROUP BY advertiser, campaign, currency
"""


PACING = Panel(
    id="campaign-pacing",
    title="Pacing against plan",
    description="Planned is what the plan set last would have spent by the end of the range, evenly. Pace is spent ÷"
    " planned, used is spent ÷ budget.",
    picture="table",
    columns=(
        *CAMPAIGN_NAME,
        Column("currency", "Currency", "text"),
        Column("spent", "Spent", "number"),
        Column("planned", "Planned", "number"),
        Column("pace", "Pace", "ratio", warn=1.1, alarm=1.25),
        Column("budget", "Budget", "number"),
        Column("used", "Used", "ratio", shaded=True),
        Column("ends", "Ends", "text"),
    ),
    nothing="No campaign here has a budget; `pixeltally campaign set … --budget … --start … --end …` gives it one.",
    sql=f"""
SELECT advertiser, campaign, currency, spent, planned, pace, budget, used, ends
FROM ({pacing(OF_CAMPAIGN)})
ORDER BY ends, advertiser, campaign
LIMIT 200
""",
)

DAILY = Panel(
    id="campaign-spend",
    title="Spend by day",
    description="Campaigns' own days; the plan spends evenly. Of the currency that most days are paid in."
    " Terms by unique IPs pay for each once a month, so its first days cost more.",
    picture="series",
    columns=(
        Column("time", "Day", "day"),
        Column("spent", "Spent", "number"),
        Column("planned", "Planned", "number"),
    ),
    nothing="No campaign with terms was counted then; `pixeltally campaign set` says what one costs.",
    sql=f"""
WITH {_FIRST} AS from_day, {_LAST} AS to_day
SELECT toDateTime(each.1, {ZONE}) AS time, each.2 AS spent, nullIf(each.3, 0) AS planned
FROM
(
    SELECT groupArray((day, spent, planned)) AS days
    FROM
    (
        SELECT currency, day, sum(s.spent) AS spent, sum(s.planned) AS planned, sum(s.paid) AS paid
        FROM
        (
            SELECT currency, day, toFloat64(spent) AS spent, 0. AS planned, 1 AS paid
            FROM charges_lately WHERE {OF_CAMPAIGN}
            UNION ALL
            SELECT
                currency, arrayJoin(range(toUInt32(greatest(days, 0)))) + assumeNotNull(plan_start) AS day,
                0., budget / days, 0
            FROM ({_plans(OF_CAMPAIGN)})
        ) AS s
        WHERE day >= from_day AND day <= to_day
        GROUP BY currency, day
    )
    GROUP BY currency
    ORDER BY sum(paid) DESC, currency
    LIMIT 1
)
ARRAY JOIN days AS each
ORDER BY time WITH FILL STEP toIntervalDay(1) INTERPOLATE (spent AS 0)
""",
)

TERMS = Annotation(
    "Terms",
    f"""
SELECT
    starts AS time, CAST(NULL, 'Nullable(DateTime)') AS timeEnd,
    if(count() = 1, any(concat(campaign, ': ', pricing, ' ', toString(price), ' ', currency)),
        concat('Terms of ', toString(count()), ' campaigns')) AS text
FROM terms
WHERE $__timeFilter(starts) AND {OF_CAMPAIGN}
GROUP BY starts
ORDER BY time
""",
)
