"""What stands below reports and bills: by which rules and lists was judged, and what was erased."""

from datetime import date
from typing import NamedTuple

from clickhouse_connect.driver.client import Client


class Provenance(NamedTuple):
    """Of some days of an advertiser, or of one of its campaigns."""

    rules_versions: list[str]  #: of the rules and lists, of each that hits were judged by
    erased_hits: int  #: of the months of these days: made nobody's on request, and counted all the same


def of(client: Client, advertiser: str, campaign: str, first: date, last: date) -> Provenance:
    """Look it up; `campaign` empty: of all. The days are cut at UTC, settled rules at months."""
    parameters = {"advertiser": advertiser, "campaign": campaign, "first": first, "last": last}
    whose = "advertiser = {advertiser:String}" + (" AND campaign = {campaign:String}" if campaign else "")
    months = "month BETWEEN toStartOfMonth({first:Date}) AND {last:Date}"
    versions = client.query(
        f"SELECT DISTINCT rules_version FROM facts WHERE {whose}"
        " AND toDate(ts) BETWEEN {first:Date} AND {last:Date}"
        f" UNION DISTINCT SELECT rules_version FROM settled_rules WHERE {whose} AND {months}",
        parameters=parameters,
    ).result_rows
    [(erased,)] = client.query(
        f"SELECT sum(hits) FROM erasures FINAL WHERE {whose} AND {months}", parameters=parameters
    ).result_rows
    return Provenance(sorted(version for (version,) in versions if version), int(erased))
