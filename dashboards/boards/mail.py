"""E-mail: who opened, as far as an open proves anything, who clicked and who completed."""

from dashboards.boards.board import COUNTED, OF_CAMPAIGN, Board, Place
from dashboards.panel import Column, Panel

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
SELECT opens, openers, clickers, clickers / nullIf(openers, 0) AS click_to_open
FROM
(
    SELECT countIf({COUNTED}) AS opens, uniqExactIf(visitor, verdict = 'valid' AND visitor != 0) AS openers
    FROM impressions WHERE kind = 'open' AND $__timeFilter(ts) AND {OF_CAMPAIGN}
) AS o,
(
    SELECT uniqExact(visitor) AS clickers
    FROM clicks
    WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND verdict = 'valid' AND visitor != 0
        AND (advertiser, campaign, visitor) IN
        (SELECT advertiser, campaign, visitor FROM impressions WHERE kind = 'open' AND $__timeFilter(ts))
) AS c
""",
)

TREND = Panel(
    id="mail-trend",
    title="Opens",
    description="Valid requests for e-mails' images, without duplicates, and the recipients they came from.",
    picture="series",
    columns=(Column("time", "Time", "time"), Column("opens", "Opens"), Column("openers", "Recipients")),
    sql=f"""
SELECT
    $__timeInterval(ts) AS time, countIf({COUNTED}) AS opens,
    uniqExactIf(visitor, verdict = 'valid' AND visitor != 0) AS openers
FROM impressions
WHERE kind = 'open' AND $__timeFilter(ts) AND {OF_CAMPAIGN}
GROUP BY time
ORDER BY time
""",
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
        Column("advertiser", "Advertiser", "text"),
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
    WHERE kind = 'open' AND $__timeFilter(ts) AND {OF_CAMPAIGN} AND verdict = 'valid'
    UNION ALL
    SELECT advertiser, campaign, visitor, 2 FROM clicks
    WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND verdict = 'valid'
    UNION ALL
    SELECT o.advertiser, o.campaign, if(c.visitor = 0, o.visitor, c.visitor), 3
    FROM (SELECT * FROM conversions WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND {COUNTED}) AS o
    LEFT ANY JOIN clicks AS c ON c.id = o.click_id AND c.advertiser = o.advertiser AND c.campaign = o.campaign
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

BOARD = Board(
    uid="pixeltally-mail",
    title="E-mail",
    description="Who opened, as far as an open proves anything, who clicked and who completed.",
    places=(Place(KEY_FIGURES, 24, 4), Place(TREND, 14), Place(EVIDENCE, 10), Place(CAMPAIGNS, 24, 10)),
    scope=("advertiser", "campaign"),
    since="now-30d",
)
