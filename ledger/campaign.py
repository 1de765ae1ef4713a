"""A campaign's name, as commands take it."""

import re
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pixeltally.errors import Refused
from pixeltally.hit import NAME_PATTERN

_NAME = re.compile(rf"({NAME_PATTERN})/({NAME_PATTERN})", re.ASCII)


class Campaign(NamedTuple):
    """One advertiser's campaign."""

    advertiser: str
    campaign: str

    @classmethod
    def named(cls, text: str) -> "Campaign":
        """`advertiser/campaign`; raises :class:`Refused` where it is none."""
        match = _NAME.fullmatch(text)
        if match is None:
            raise Refused(f"{text!r} names no campaign: advertiser/campaign, each of a-z 0-9 . _ -")
        return cls(*match.groups())


def refuse_unknown(client: Client, advertiser: str, campaign: str = "") -> None:
    """Raise :class:`Refused` where nothing was ever counted of it, and no terms were set."""
    where = "advertiser = {advertiser:String} AND {campaign:String} IN ('', campaign)"
    known = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1" for table in ("minute_rows", "terms_set"))
    if not client.query(known, parameters={"advertiser": advertiser, "campaign": campaign}).result_rows:
        name = f"{advertiser}/{campaign}" if campaign else advertiser
        raise Refused(f"nothing was ever counted for {name!r}, and it has no terms: is it spelt so?")
