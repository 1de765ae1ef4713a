"""E-mail: who opened, as far as an open proves anything, who clicked and who completed."""

from dashboards.boards.board import COUNTED, FILL, GAPS, OF_CAMPAIGN, Board, Place, orders
from dashboards.panel import Column, Panel

_OPENS = f"kind = 'open' AND $__timeFilter(ts) AND {OF_CAMPAIGN}"

#: The clicks that conversions name.
_NAMED = "(SELECT click_id FROM facts WHERE kind = 'conversion' AND $__timeFilter(ts))"

#: The conversions that count, each with the click that it names, for a FROM.
_ORDERS = f"""
    {orders(OF_CAMPAIGN)}
    LEFT ANY JOIN
    (
        SELECT advertiser, campaign, id, ts, visitor, subscriber FROM clicks
        WHERE {OF_CAMPAIGN} AND id IN {_NAMED}
    ) AS c ON c.id = o.click_id AND c.advertiser = o.advertiser AND c.campaign = o.campaign"""

KEY_FIGURES = Panel(
    id="mail-key-figures",
    title="Key figures",
    description="Recipients are distinct subscribers, where the pixel names them, else IP addresses. Click-to-open is"
    " recipients who clicked ÷ recipients whose image was asked for.",
    picture="stat",
    columns=(
        Column("opens", "Opens"),
        Column("openers", "Recipients opened"),
        Column("clickers", "Recipients clicked"),
        Column("click_to_open", "Click-to-open", "ratio"),
    ),
    sql=f"""
SELECT
    countIf({COUNTED}) AS opens, uniqExactIf(visitor, verdict = 'valid' AND visitor != 0) AS openers,
    uniqExactIf(visitor, (advertiser, campaign, visitor) IN
    (
        SELECT advertiser, campaign, visitor FROM clicks
        WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND verdict = 'valid' AND visitor != 0
    )) AS clickers,
    clickers / nullIf(openers, 0) AS click_to_open
FROM impressions
WHERE {_OPENS}
""",
)

TREND = Panel(
    id="mail-trend",
    title="Opens and clicks",
    description="Valid requests for e-mails' images, without duplicates; the recipients they came from; and clicks of"
    " recipients whose image was asked for in the range.",
    picture="series",
    columns=(
        Column("time", "Time", "time"),
        Column("opens", "Opens"),
        Column("openers", "Recipients"),
        Column("clicks", "Clicks"),
    ),
    sql=f"""
SELECT time, sum(m.opens) AS opens, sum(m.openers) AS openers, sum(m.clicks) AS clicks
FROM
(
    SELECT
        $__timeInterval(ts) AS time, countIf({COUNTED}) AS opens,
        uniqExactIf(visitor, verdict = 'valid' AND visitor != 0) AS openers, 0 AS clicks
    FROM impressions
    WHERE {_OPENS}
    GROUP BY time
    UNION ALL
    SELECT $__timeInterval(ts) AS time, 0, 0, count()
    FROM clicks
    WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND {COUNTED} AND (advertiser, campaign, visitor) IN
        (SELECT advertiser, campaign, visitor FROM impressions WHERE {_OPENS})
    GROUP BY time
) AS m
GROUP BY time
ORDER BY time {FILL}
""",
    whole=True,
)

EVIDENCE = Panel(
    id="mail-evidence",
    title="What the opens prove",
    description="confirmed: the recipient clicked, too. probable: nothing speaks against a person. proxy: an e-mail"
    " service fetched the image for whoever read it. machine: a program that opens everything.",
    picture="bars",
    columns=(Column("evidence", "Evidence", "text"), Column("opens", "Opens"), Column("recipients", "Recipients")),
    sql=f"""
SELECT
    if(evidence = '', 'not judged', evidence) AS evidence, count() AS opens,
    uniqExactIf(visitor, visitor != 0) AS recipients
FROM opens
WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND NOT duplicate
GROUP BY evidence
ORDER BY indexOf(['confirmed', 'probable', 'proxy', 'machine'], evidence), evidence
""",
)

CAMPAIGNS = Panel(
    id="mail-campaigns",
    title="Campaigns",
    description="Recipients who opened, clicked and completed. A conversion is of whoever clicked the click it names.",
    picture="table",
    columns=(
        Column("advertiser", "Advertiser", "text", link="pixeltally-mail"),
        Column("campaign", "Campaign", "text", link="pixeltally-mail"),
        Column("opened", "Opened"),
        Column("clicked", "Clicked"),
        Column("completed", "Completed"),
        Column("click_to_open", "Click-to-open", "ratio"),
        Column("completion", "Completed of clicked", "ratio"),
    ),
    sql=f"""
WITH steps AS
(
    SELECT advertiser, campaign, visitor, 1 AS step FROM impressions
    WHERE {_OPENS} AND verdict = 'valid'
    UNION ALL
    SELECT advertiser, campaign, visitor, 2 FROM clicks
    WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND verdict = 'valid'
    UNION ALL
    SELECT o.advertiser, o.campaign, if(c.visitor = 0, o.visitor, c.visitor), 3
    FROM {_ORDERS}
)
SELECT
    advertiser, campaign, countIf(has_opened) AS opened, countIf(has_opened AND has_clicked) AS clicked,
    countIf(has_opened AND has_completed) AS completed, clicked / nullIf(opened, 0) AS click_to_open,
    countIf(has_opened AND has_clicked AND has_completed) / nullIf(clicked, 0) AS completion
FROM
(
    SELECT
        advertiser, campaign, visitor,
        max(step = 1) AS has_opened, max(step = 2) AS has_clicked, max(step = 3) AS has_completed
    FROM steps
    WHERE visitor != 0
    GROUP BY advertiser, campaign, visitor
) AS people
GROUP BY advertiser, campaign
HAVING opened > 0
ORDER BY opened DESC, advertiser, campaign
LIMIT 200
""",
)

COMPLETED = Panel(
    id="mail-completed",
    title="Who completed",
    description="Recipients who completed in the range, newest first: whoever clicked the click that the"
    " conversion names, else its own visitor. A recipient is named as the tags' s= names it.",
    picture="table",
    columns=(
        Column("recipient", "Recipient", "text"),
        Column("advertiser", "Advertiser", "text"),
        Column("campaign", "Campaign", "text", link="pixeltally-mail"),
        Column("opened", "Opened", "time"),
        Column("clicked", "Clicked", "time"),
        Column("completed", "Completed", "time"),
        Column("conversions", "Conversions"),
    ),
    sql=f"""
WITH orders AS
(
    SELECT
        o.advertiser AS advertiser, o.campaign AS campaign, o.ts AS ts,
        if(c.visitor = 0, o.visitor, c.visitor) AS visitor,
        if(c.visitor = 0, o.subscriber, c.subscriber) AS subscriber, if(c.visitor = 0, NULL, c.ts) AS clicked
    FROM {_ORDERS}
),
opens AS
(
    SELECT advertiser, campaign, visitor, min(ts) AS opened FROM impressions
    WHERE {_OPENS} AND verdict = 'valid' AND visitor IN
    (
        SELECT visitor FROM facts WHERE kind = 'conversion' AND $__timeFilter(ts)
        UNION ALL
        SELECT visitor FROM facts WHERE kind = 'click' AND id IN {_NAMED}
    )
    GROUP BY advertiser, campaign, visitor
)
SELECT
    if(any(s.subscriber) = '', concat('visitor ', toString(visitor)), any(s.subscriber)) AS recipient,
    advertiser, campaign, any(p.opened) AS opened, min(s.clicked) AS clicked, max(s.ts) AS completed,
    count() AS conversions
FROM orders AS s
INNER JOIN opens AS p USING (advertiser, campaign, visitor)
WHERE visitor != 0
GROUP BY advertiser, campaign, visitor
ORDER BY completed DESC, recipient
LIMIT 100
""",
)

BOARD = Board(
    uid="pixeltally-mail",
    title="E-mail",
    description="Who opened, as far as an open proves anything, who clicked and who completed.",
    places=(
        Place(KEY_FIGURES, 24, 4),
        Place(TREND, 14),
        Place(EVIDENCE, 10),
        Place(CAMPAIGNS, 24, 8),
        Place(COMPLETED, 24, 10),
    ),
    scope=("advertiser", "campaign"),
    annotations=(GAPS,),
    refresh="5m",
    since="now-30d",
)
