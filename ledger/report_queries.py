"""The SQL of reports. A query answers `KEY`, then what its columns are called: for each period and part of the ads, and
for each part over all days."""

from collections.abc import Iterator

#: Whether it is over all days, else the period's first; and of which part of the advertiser's ads it is.
KEY = ("is_total", "start", "campaign", "creative", "placement")

_STARTS = {"day": "day", "week": "toMonday(day)", "month": "toStartOfMonth(day)"}
_PARTS = {
    "campaign": "'' AS creative, '' AS placement",
    "creative": "creative, '' AS placement",
    "placement": "creative, placement",
}

_DAYS = "(first = {first:Date}, last = {last:Date})"

#: From when on facts and sets are whole.
WHOLE_SINCE = "SELECT toDate(before) + 2 FROM horizon"


def queries(by: str, per: str, campaign: str) -> Iterator[str]:
    """Questions about the days `first` to `last` of an `advertiser` and, unless that is empty, one `campaign`."""
    key = f"grouping(start) AS is_total, {_STARTS[by]} AS start, campaign, {_PARTS[per]}"
    where = "advertiser = {advertiser:String} AND day BETWEEN {first:Date} AND {last:Date}"
    if campaign:
        where += " AND campaign = {campaign:String}"
    # So that no more is read than the days may lie in, whatever their zone is.
    near = (
        f"{where} AND slice >= toDateTime(greatest({{first:Date}}, toDate('1970-01-02')), 'UTC') - toIntervalDay(1)"
        " AND slice < toDateTime({last:Date}, 'UTC') + toIntervalDay(2)"
    )
    group = "GROUP BY GROUPING SETS ((start, campaign, creative, placement), (campaign, creative, placement))"
    yield (
        f"SELECT {key}, sum(c.gross) AS gross, sum(c.valid) AS valid, sum(c.duplicates) AS duplicates,"
        " sum(c.invalid) AS invalid, sumMap(c.reasons) AS reasons, sum(c.clicks) AS clicks,"
        f" groupUniqArray(timezone) AS timezones FROM ledger_slices AS c WHERE {near} {group}"
    )
    yield f"SELECT {key}, uniqExactArray(visitors) AS uniques FROM reach_slices WHERE {near} {group}"
    if per == "campaign":
        yield from _of_campaigns(
            key, f"{where} AND month BETWEEN toStartOfMonth({{first:Date}}) AND {{last:Date}}", group
        )
    else:
        yield from _of_parts(key, near, group)


def _of_campaigns(key: str, where: str, group: str) -> Iterator[str]:
    yield (
        f"SELECT {key}, sum(d.click_requests) AS click_requests, sum(d.reported_conversions) AS reported_conversions,"
        " sum(d.conversions) AS conversions, sumMap(d.revenue) AS revenue, max(d.lost) AS lost,"
        " min(d.settled) AS settled, count() AS days, sum(d.uniques) AS day_uniques, sum(d.new_uniques) AS new_uniques"
        f" FROM campaign_days_between{_DAYS} AS d WHERE {where} {group}"
    )
    yield (
        f"SELECT {key}, sumMapIf(map(currency, assumeNotNull(spent)), spent IS NOT NULL) AS spend,"
        f" countIf(spent IS NULL) AS unknown_spend FROM charges_between{_DAYS} WHERE {where} {group}"
    )


def _of_parts(key: str, where: str, group: str) -> Iterator[str]:
    """Conversions by the click that each followed; what uniques and conversions cost can't be divided."""
    yield (
        f"SELECT {key}, count() AS conversions, sumMap(map(currency, value::Decimal(38, 4))) AS revenue"
        f" FROM order_slices WHERE {where} {group}"
    )
    yield (
        f"SELECT {key}, countIf(kind = 'click') AS click_requests, countIf(kind = 'conversion') AS reported_conversions"
        f" FROM action_slices WHERE {where} {group}"
    )
    is_kept = f"(pricing, basis) != ('cpc', 'gross') OR day >= ({WHOLE_SINCE})"
    by_part = f"pricing != 'cpa' AND basis != 'unique' AND ({is_kept})"
    slices = "slice, advertiser, campaign, creative, placement, starts, day"
    yield (
        f"SELECT {key}, countIf(NOT ({by_part})) AS unknown_spend, sumMapIf(map(currency,"
        " price::Decimal(38, 9) / if(pricing = 'cpm', 1000, 1) * multiIf(pricing = 'cpm' AND basis = 'gross', gross,"
        f" pricing = 'cpm', valid, basis = 'gross', click_requests, clicks)), {by_part}) AS spend"
        f" FROM (SELECT c.*, pricing, basis, price, currency FROM"
        f" (SELECT {slices}, gross, valid, clicks, 0 AS click_requests FROM ledger_slices"
        f" UNION ALL SELECT {slices}, 0, 0, 0, kind = 'click' FROM action_slices) AS c INNER JOIN terms AS t"
        " ON c.advertiser = t.advertiser AND c.campaign = t.campaign AND c.starts = t.starts)"
        f" WHERE {where} {group}"
    )
