"""Ready-to-paste tags for an ad unit, by where they go."""

import json
import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple
from urllib.parse import quote, urlencode

from pixeltally.errors import Refused
from pixeltally.hit import NAME_PATTERN
from pixeltally.settings import Settings
from pixeltally.signing import sign, token
from pixeltally.target import is_allowed

_UNIT = re.compile(rf"{NAME_PATTERN}(/{NAME_PATTERN}){{2,3}}", re.ASCII)


class AdServer(NamedTuple):
    """What an ad server fills into a tag."""

    name: str
    cache_buster: str
    click: str  #: its click counter, which the percent-encoded target follows; empty: give our link as the ad's target


AD_SERVERS = (
    AdServer("Google Ad Manager", "%%CACHEBUSTER%%", "%%CLICK_URL_UNESC%%"),
    AdServer("Campaign Manager 360", "%n", "%c"),
    AdServer("Xandr", "${CACHEBUSTER}", "${CLICK_URL}"),
    AdServer("The Trade Desk", "%%TTD_CACHEBUSTER%%", "%%TTD_CLK%%"),
    AdServer("Revive Adserver", "{random}", "{clickurl}"),
    AdServer("Kevel", "{{timestamp}}", ""),
    AdServer("others: [timestamp]", "[timestamp]", ""),
    AdServer("others: {cachebuster}", "{cachebuster}", ""),
)

#: What e-mail services put in for one recipient: a number of theirs, never the address.
MAIL_SERVICES = {
    "Mailchimp": "*|UNIQID|*",
    "Salesforce Marketing Cloud": "%%_subscriberkey%%",
    "ActiveCampaign": "%SUBSCRIBERID%",
    "listmonk": "{{ .Subscriber.UUID }}",
}


class Unit:
    """One ad unit's addresses."""

    def __init__(self, settings: Settings, unit: str, target: str | None, subscriber: str | None) -> None:
        """Raises :class:`Refused` where the unit's name or the target can't be used."""
        if _UNIT.fullmatch(unit) is None:
            raise Refused(f"{unit!r} names no ad unit: advertiser/campaign/creative[/placement], each of a-z 0-9 . _ -")
        if target and not is_allowed(target):
            raise Refused(f"--to {target!r} is not an http or https URL without spaces, percent-encoded where needed")
        self.unit = unit
        self.campaign = "/".join(unit.split("/")[:2])
        self._public = settings.public
        self._who = {"s": subscriber} if subscriber else {}
        self._signed = {"to": target, "k": sign(settings.keys().signing(), unit, target)} if target else {}

    def pixel(self, macros: str = "", **query: str) -> str:
        """The pixel's URL; `macros` stand as they are."""
        return self._url(f"p/{self.unit}.gif", {**query, **self._who}, macros)

    def image(self, extension: str) -> str:
        """The URL of the ad unit's own image."""
        return self._url(f"i/{self.unit}.{extension}", self._who)

    def click(self, macros: str = "") -> str:
        """The signed click link's URL; empty where no target is given."""
        return self._url(f"c/{self.unit}", {**self._signed, **self._who}, macros) if self._signed else ""

    def conversion(self) -> str:
        """The conversion pixel's URL; what isn't filled in is a dead letter and no order."""
        sold = {"order": "ORDER", "value": "VALUE", "currency": "EUR", "pt_click": "CLICK_ID"}
        return self._url(f"v/{self.campaign}.gif", {**sold, **self._who})

    def postback(self) -> str:
        """The URL that servers report conversions to."""
        return self._url(f"v/{self.campaign}", {})

    def _url(self, path: str, query: dict[str, str], macros: str = "") -> str:
        text = "&".join(part for part in (urlencode(query), macros) if part)
        return f"{self._public}/{path}?{text}" if text else f"{self._public}/{path}"


def tags(settings: Settings, name: str, target: str | None, subscriber: str | None) -> dict[str, str]:
    """The tags of `advertiser/campaign/creative[/placement]` by where they go: see docs/tags.md.

    Raises :class:`Refused` where the name or the target can't be used.
    """
    unit = Unit(settings, name, target, subscriber)
    return {
        "page": _invisible(unit.pixel()),
        "email": _invisible(unit.pixel(e="open")),
        **({"click": unit.click()} if target else {}),
        "image": _visible(unit.image("png"), unit.click()),
        "conversion": _invisible(unit.conversion()),
        "postback": _curl(unit),
        **(dict(_mail(unit)) if not subscriber else {}),
        **dict(_ad_servers(unit)),
    }


def advertiser_token(settings: Settings, name: str) -> str:
    """The token with which the advertiser's servers report conversions; :class:`Refused` where it is no name."""
    return token(settings.keys().signing(), advertiser_name(name))


def advertiser_name(text: str) -> str:
    """The text, where it is an advertiser's name; else :class:`Refused`."""
    if re.fullmatch(NAME_PATTERN, text, re.ASCII) is None:
        raise Refused(f"{text!r} is no advertiser's name: of a-z 0-9 . _ -, at most 64")
    return text


def _mail(unit: Unit) -> Iterator[tuple[str, str]]:
    for service, field in MAIL_SERVICES.items():
        yield f"email, {service}", _invisible(unit.pixel(f"s={field}", e="open"))
        if unit.click():
            yield f"click, {service}", unit.click(f"s={field}")


def _ad_servers(unit: Unit) -> Iterator[tuple[str, str]]:
    for server in AD_SERVERS:
        yield f"ad, {server.name}", _invisible(unit.pixel(f"cb={server.cache_buster}"))
        if unit.click() and server.click:
            yield f"click, {server.name}", f"{server.click}{quote(unit.click(), safe='')}"


def _curl(unit: Unit) -> str:
    report = json.dumps({"order": "ORDER", "value": "VALUE", "currency": "EUR", "click": "CLICK_ID"})
    bearer = f"Authorization: Bearer $(pixeltally advertiser token {unit.campaign.partition('/')[0]})"
    return f"curl -X POST '{unit.postback()}' -H \"{bearer}\" -H 'Content-Type: application/json' -d '{report}'"


def _invisible(url: str) -> str:
    return f'<img src="{escape(url)}" width="1" height="1" alt="" style="border:0">'


def _visible(url: str, click: str) -> str:
    image = f'<img src="{escape(url)}" alt="" style="border:0">'
    return f'<a href="{escape(click)}">{image}</a>' if click else image
