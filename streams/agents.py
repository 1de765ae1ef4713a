"""Who asks, by the User-Agent header: browser, system, kind of device, whether a program, and whose mail program."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

import re2
from ua_parser import Domain, load_lazy_builtins
from ua_parser.regex import Resolver

from pixeltally.fragment import fragment
from streams import bots, sign
from streams.bots import Bots

#: What is read of an agent: browsers' are a fifth of it.
_MAX_CHARS = 1024

_DOMAINS = Domain.USER_AGENT | Domain.OS

#: E-mail services that fetch images for whom reads: Gmail, Yahoo Mail, Fastmail.
_MAIL_PROXIES = re2.compile(r"GoogleImageProxy|GmailImageProxy|YahooMailProxy|YahooCacheSystem|FastmailUA")

#: Who fetches images whether anybody reads or not: all that Apple Mail says of itself with Mail Privacy Protection, and
#: what Gmail says where it fetches an e-mail's images before anybody opens that.
_MAIL_MACHINES = re2.compile(r"^Mozilla/5\.0$| Edge/12\.246 Mozilla/5\.0$")

_TV = re2.compile(r"TV|BRAVIA|Roku|AFT[A-Z]|CrKey|Web0S|Viera|Chromecast")
_TABLET = re2.compile(r"iPad|Tablet|PlayBook|Kindle|Silk/")
_CONSOLE = re2.compile(r"PlayStation|Xbox|Nintendo")
_MOBILE = re2.compile(r"Mobi|iPhone|iPod|Windows Phone|BlackBerry|MIDP|Opera Mini|Symbian")
_DESKTOPS = frozenset(("Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Debian", "Chrome OS", "FreeBSD", "OpenBSD"))

_SIGNS = {
    "bot": sign.BOT,
    "non-browser": sign.NON_BROWSER,
    "machine": sign.MAIL_MACHINE,
    "proxy": sign.MAIL_PROXY,
    "": 0,
}


class Agent(NamedTuple):
    """What an agent says."""

    browser: str  #: family, without version
    os: str  #: family, without version
    device: str  #: desktop, mobile, tablet, tv, console, or nothing
    automation: str  #: bot, non-browser, or nothing
    mail: str  #: how a mail program fetches images: proxy (for whom reads), machine (in any case), or nothing
    signs: int  #: see `streams.sign`
    json: bytes  #: what a fact says of it: `,"browser":"Chrome","os":"Windows","device":"desktop"`


NOBODYS = Agent("", "", "", "", "", sign.NO_AGENT, b"")


class Agents:
    """Reads agents; each once a column."""

    def __init__(self) -> None:
        self._parser = Resolver(load_lazy_builtins())
        self._bots = Bots()

    def look_up(self, user_agents: Sequence[str]) -> list[Agent]:
        """What each agent says."""
        found = {user_agent: self._read(user_agent) for user_agent in dict.fromkeys(user_agents)}
        return list(map(found.__getitem__, user_agents))

    def versions(self) -> dict[str, str]:
        """The lists' versions, by package."""
        return {**bots.versions(), "ua-parser-builtins": version("ua-parser-builtins")}

    def _read(self, user_agent: str) -> Agent:
        if not user_agent:
            return NOBODYS
        text = user_agent[:_MAX_CHARS].encode("utf-8", "replace").decode()
        parsed = self._parser(text, _DOMAINS)
        browser = parsed.user_agent.family if parsed.user_agent else ""
        system = parsed.os.family if parsed.os else ""
        device, automation, mail = _device(text, system), self._bots.reason(text), _mail(text)
        json = fragment(browser=browser, os=system, device=device)
        return Agent(browser, system, device, automation, mail, _SIGNS[automation] | _SIGNS[mail], json)


def _mail(agent: str) -> str:
    if _MAIL_MACHINES.search(agent):
        return "machine"
    return "proxy" if _MAIL_PROXIES.search(agent) else ""


def _device(agent: str, system: str) -> str:
    """The kind of device. An iPad says of itself that it is a Mac; so it is counted as one."""
    if _TV.search(agent):
        return "tv"
    if _CONSOLE.search(agent):
        return "console"
    if _TABLET.search(agent):
        return "tablet"
    if _MOBILE.search(agent):
        return "mobile"
    if system == "Android":
        return "tablet" if agent.startswith("Mozilla/") else ""
    return "desktop" if system in _DESKTOPS else ""
