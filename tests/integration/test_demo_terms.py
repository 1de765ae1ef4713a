"""The demo's campaigns have terms with a plan, once."""

from facts import client, make_tables

from local import terms
from local.impressions import CAMPAIGNS
from local.traffic import ADVERTISER


def test_the_demos_campaigns_have_terms_once(clickhouse: str):
    make_tables(clickhouse)
    with client(clickhouse) as asking:
        for _ in range(2):
            terms.set_once(asking)
        found = asking.query(
            "SELECT campaign, pricing, budget, plan_start <= today() AND today() <= plan_end FROM terms"
            " WHERE advertiser = {advertiser:String} ORDER BY campaign",
            parameters={"advertiser": ADVERTISER},
        ).result_rows
        assert found == [(campaign, "cpm", 60, 1) for campaign in sorted([*CAMPAIGNS, "newsletter"])]
        set_ = asking.query(f"SELECT count() FROM terms_set WHERE advertiser = '{ADVERTISER}'").result_rows
    assert set_ == [(len(CAMPAIGNS) + 1,)]
