"""What the demo's campaigns cost and plan, so that boards of money have something to show."""

from clickhouse_connect.driver.client import Client

from local.impressions import CAMPAIGNS
from local.newsletter import CAMPAIGN
from local.traffic import ADVERTISER

#: From the beginning, as a campaign's first terms hold. The plan is a third over, and small as the demo's traffic is.
_SET = """
INSERT INTO terms_set
SELECT
    {advertiser:String}, arrayJoin({campaigns:Array(String)}) AS name, '1970-01-01', 0, 'UTC', 'cpm',
    if(startsWith(name, 'bts-'), 'unique', 'valid'), 8, 'EUR', 60, today() - 9, today() + 20, now64(3)
WHERE {advertiser:String} NOT IN (SELECT advertiser FROM terms_set)
"""


def set_once(client: Client) -> None:
    """Give the demo's campaigns terms with a plan, unless any of them has some: those are its owner's."""
    client.command(_SET, parameters={"advertiser": ADVERTISER, "campaigns": [*CAMPAIGNS, CAMPAIGN]})
