"""What Grafana wakes somebody up for, as rules for Grafana Alerting.

Each rule's SQL answers numbers, one a label; Grafana compares each with the rule's limit.
"""

from dataclasses import dataclass
from typing import Any, Literal

from dashboards.boards.money import pacing
from dashboards.boards.render import FOLDER, FOLDER_UID, SOURCE_UID, TABLE, target

Json = dict[str, Any]

GROUP = "pixeltally"
INTERVAL_S = 60


@dataclass(frozen=True)
class Alert:
    """A rule: it fires when a number has been above `above` for `for_s` seconds."""

    uid: str
    title: str
    summary: str  #: what it means and what to do
    sql: str
    above: float
    range_s: int
    for_s: int
    severity: Literal["warning", "critical"]
    no_data: Literal["OK", "Alerting"] = "OK"
    tenants: bool = False  #: makes sense to an advertiser, of its own rows


_AGE = """
SELECT dateDiff('second', newest, now()) AS age
FROM (SELECT max(ts) AS newest FROM impressions WHERE $__timeFilter(ts) HAVING count() > 0)
"""

_HOUR_AGO = "$__toTime - 3600"

ALERTS = (
    Alert(
        uid="pixeltally-no-data",
        title="No data",
        summary="No hit has reached ClickHouse for 15 minutes: look at ingest's /readyz, then at streams and sink.",
        sql=_AGE,
        above=900,
        range_s=3600,
        for_s=0,
        severity="critical",
        no_data="Alerting",
    ),
    Alert(
        uid="pixeltally-lag",
        title="Hits arrive late",
        summary="The newest hit in ClickHouse is older than two minutes: traffic paused, or Kafka or the sink lags.",
        sql=_AGE,
        above=120,
        range_s=3600,
        for_s=300,
        severity="warning",
    ),
    Alert(
        uid="pixeltally-minutes-lag",
        title="Minutes lag behind hits",
        summary="The windows are more than five minutes behind the hits they count: look at the sink's log.",
        sql="""
SELECT greatest(dateDiff('second', counted, toStartOfMinute(newest)), 0) AS lag
FROM
(SELECT max(ts) AS newest FROM impressions WHERE $__timeFilter(ts) HAVING count() > 0) AS i,
(SELECT max(minute) AS counted FROM minutes WHERE minute >= $__fromTime - 86400 HAVING count() > 0) AS m
""",
        above=300,
        range_s=3600,
        for_s=300,
        severity="critical",
    ),
    Alert(
        uid="pixeltally-dead-letters",
        title="Dead letters",
        summary="Requests that can't be counted came in the last ten minutes: docs/dead-letters.md says what to do.",
        sql="""
SELECT reason, count() AS letters
FROM (SELECT reason, fromUnixTimestamp64Milli(ts, 'UTC') AS found FROM dead_letters FINAL)
WHERE $__timeFilter(found)
GROUP BY reason
""",
        above=0,
        range_s=600,
        for_s=0,
        severity="warning",
    ),
    Alert(
        uid="pixeltally-stages-differ",
        title="Stages differ",
        summary="Hits counted at one stage are not at another, or were lost: `pixeltally reconcile` says which.",
        sql="""
SELECT sum(difference) + sum(lost) AS difference
FROM (SELECT * FROM reconciliations FINAL)
WHERE $__timeFilter(at)
HAVING count() > 0
""",
        above=0,
        range_s=900,
        for_s=0,
        severity="critical",
    ),
    Alert(
        uid="pixeltally-pacing",
        title="Off the plan",
        summary="A campaign's spend is more than 25% off its plan, a quarter of which or more is over.",
        sql=f"""
SELECT advertiser, concat(campaign, ' ', currency) AS campaign, abs(pace - 1) AS off
FROM ({pacing("1")})
WHERE elapsed >= 0.25 AND elapsed < 1 AND pace IS NOT NULL
""",
        above=0.25,
        range_s=3600,
        for_s=3600,
        severity="warning",
        tenants=True,
    ),
    Alert(
        uid="pixeltally-invalid-jump",
        title="Invalid share jumps",
        summary="The share of invalid requests in the last hour is 10 points or more above that of the day before it.",
        sql=f"""
SELECT
    advertiser,
    sumIf(invalid, minute >= {_HOUR_AGO}) / sumIf(gross, minute >= {_HOUR_AGO})
        - sumIf(invalid, minute < {_HOUR_AGO}) / sumIf(gross, minute < {_HOUR_AGO}) AS jump
FROM minutes
WHERE $__timeFilter(minute)
GROUP BY advertiser
HAVING sumIf(gross, minute >= {_HOUR_AGO}) >= 100 AND sumIf(gross, minute < {_HOUR_AGO}) >= 1000
""",
        above=0.1,
        range_s=25 * 3600,
        for_s=300,
        severity="warning",
        tenants=True,
    ),
    Alert(
        uid="pixeltally-ctr-band",
        title="CTR out of band",
        summary="The last hour's CTR is more than six standard deviations off that of the day before it: click fraud,"
        " a broken link, or a new creative.",
        sql=f"""
WITH
    sumIf(clicks, minute < {_HOUR_AGO}) / sumIf(valid, minute < {_HOUR_AGO}) AS usual,
    sumIf(valid, minute >= {_HOUR_AGO}) AS impressions
SELECT
    advertiser,
    abs(sumIf(clicks, minute >= {_HOUR_AGO}) / impressions - usual) / sqrt(usual * (1 - usual) / impressions)
        AS deviations
FROM minutes
WHERE $__timeFilter(minute)
GROUP BY advertiser
HAVING impressions >= 1000 AND sumIf(valid, minute < {_HOUR_AGO}) >= 10000 AND usual > 0 AND usual < 1
""",
        above=6,
        range_s=25 * 3600,
        for_s=300,
        severity="warning",
        tenants=True,
    ),
)

TENANT_ALERTS = tuple(alert for alert in ALERTS if alert.tenants)


def rule(alert: Alert) -> Json:
    """A rule as files and the HTTP API write it."""
    query = target(alert.sql, TABLE) | {"intervalMs": 60_000, "maxDataPoints": 1000}
    limit = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "datasource": {"type": "__expr__", "uid": "__expr__"},
        "conditions": [{"evaluator": {"type": "gt", "params": [alert.above]}}],
    }
    return {
        "uid": alert.uid,
        "title": alert.title,
        "condition": "B",
        "data": [
            {
                "refId": "A",
                "datasourceUid": SOURCE_UID,
                "relativeTimeRange": {"from": alert.range_s, "to": 0},
                "model": query,
            },
            {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0, "to": 0}, "model": limit},
        ],
        "noDataState": alert.no_data,
        "execErrState": "Error",
        "for": f"{alert.for_s}s" if alert.for_s % 60 else f"{alert.for_s // 60}m" if alert.for_s else "0s",
        "annotations": {"summary": alert.summary},
        "labels": {"severity": alert.severity},
        "isPaused": False,
    }


def file(alerts: tuple[Alert, ...]) -> Json:
    """The rules as a provisioning file; JSON is YAML, too."""
    group = {"orgId": 1, "name": GROUP, "folder": FOLDER, "interval": f"{INTERVAL_S // 60}m"}
    return {"apiVersion": 1, "groups": [group | {"rules": [rule(alert) for alert in alerts]}]}


def group(alerts: tuple[Alert, ...]) -> Json:
    """The rules as the HTTP API takes a rule group."""
    place = {"folderUID": FOLDER_UID, "ruleGroup": GROUP}
    return {
        "title": GROUP,
        "folderUid": FOLDER_UID,
        "interval": INTERVAL_S,
        "rules": [rule(alert) | place for alert in alerts],
    }
