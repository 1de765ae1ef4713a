"""A campaign's name, as commands take it."""

import re
from typing import NamedTuple

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
