"""Ready-to-paste tags for an ad unit."""

import re
from html import escape
from urllib.parse import urlencode

from pixeltally.errors import Refused
from pixeltally.hit import NAME_PATTERN
from pixeltally.settings import Settings
from pixeltally.signing import sign, token

_UNIT = re.compile(rf"{NAME_PATTERN}(/{NAME_PATTERN}){{2,3}}", re.ASCII)


def tags(settings: Settings, unit: str, target: str | None, subscriber: str | None) -> dict[str, str]:
    """The tags of `advertiser/campaign/creative[/placement]` by where they go.

    `page` and `email` hold the pixel; `click`, where a target is given, the signed link to it.
    Raises :class:`Refused` where the unit's name or the target can't be used.
    """
    if _UNIT.fullmatch(unit) is None:
        raise Refused(f"{unit!r} names no ad unit: advertiser/campaign/creative[/placement], each of a-z 0-9 . _ -")
    who = {"s": subscriber} if subscriber else {}
    pixel = f"{settings.public}/p/{unit}.gif"
    result = {
        "page": _image(pixel, who),
        "email": _image(pixel, {"e": "open", **who}),
    }
    if target:
        if not target.startswith(("http://", "https://")):
            raise Refused(f"--to {target!r} is not an http or https URL")
        query = {"to": target, "k": sign(settings.keys().signing(), unit, target), **who}
        result["click"] = f"{settings.public}/c/{unit}?{urlencode(query)}"
    return result


def advertiser_token(settings: Settings, name: str) -> str:
    """The token with which the advertiser's servers report conversions; :class:`Refused` where it is no name."""
    if re.fullmatch(NAME_PATTERN, name, re.ASCII) is None:
        raise Refused(f"{name!r} is no advertiser's name: of a-z 0-9 . _ -, at most 64")
    return token(settings.keys().signing(), name)


def _image(url: str, query: dict[str, str]) -> str:
    source = escape(f"{url}?{urlencode(query)}" if query else url)
    return f'<img src="{source}" width="1" height="1" alt="" style="border:0">'
