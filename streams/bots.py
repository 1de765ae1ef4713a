"""Which agents are no people's browsers: known bots, and programs that show nothing to anybody.

Four sources: the lists crawler-user-agents (MIT) and CrawlerDetect (MIT), the signs that is-crawler (Apache-2.0) goes
by, and what browsers' own agents look like. All are matched in time linear in the agent's length.
"""

from importlib.metadata import version

import re2
from crawlerdetect.providers.crawlers import data as crawlerdetect
from crawleruseragents import CRAWLER_USER_AGENTS_DATA as crawler_user_agents
from is_crawler import crawler_signals, is_crawler

#: Patterns that match people's browsers and editors too. Bots among them, such as Sogou's spiders, say more.
_LEFT_OUT = frozenset(("MetaIAB Facebook", r"008\/", "Sogou", r"Code\/1\.", r"Trae\/"))

#: A phone's model may be called anything, `Cubot` or `M bot 60`.
_MODEL = re2.compile(r"\(Linux; (?:U; )?Android [^()]*(?:\([^()]*\)[^()]*)*\)")

#: Apps whose names stand in the agents of their own browsers, as they do in those of bots.
_APPS = re2.compile(r"(?:Sonic )?Slack_SSB/\S+|Slack/\S+|Notion/\S+")

#: People's programs that don't say they are browsers: apps by their phone's HTTP client, Outlook, TVs, old phones.
_PEOPLES = re2.compile(
    r"CFNetwork/.* Darwin/|AppleCoreMedia/|Dalvik/|Cronet|Instagram |Outlook|ms-office|HbbTV/|Roku/|Profile/MIDP"
    r"|UCBrowser|UCWEB|BlackBerry"
)

#: Programs that name a system, as browsers do.
_PROGRAMS = re2.compile(r"PowerShell/")

#: What browsers name, one or the other: an engine, a system or themselves.
_BROWSERS = re2.compile(
    r"(?i)AppleWebKit|Gecko|Trident|MSIE|Presto|KHTML|Opera|Goanna|NetFront|Firefox|Chrome|Safari|Windows|Win9|Mac|Linux"
    r"|Android|iPhone|iPad|X11|Nintendo|PlayStation|PSP|Xbox|Roku|Palm|Nokia|MeeGo|BREW|Symbian|Series|Tizen|webOS"
)

#: Browsers close the parenthesis here; Google's and others' fetchers put their name in.
_NAMED_IN_ENGINE = "KHTML, like Gecko;"

#: re2's cache of states; too small, it would begin anew in the middle of an agent.
_MATCHER_BYTES = 64 << 20


class Bots:
    """Tells bots by their agents."""

    def __init__(self) -> None:
        self._kinds = [
            "non-browser" if "http-library" in each["tags"] else "bot"
            for each in crawler_user_agents
            if each["pattern"] not in _LEFT_OUT
        ]
        self._crawler_user_agents = _matcher([each["pattern"] for each in crawler_user_agents], case_sensitive=True)
        self._crawlerdetect = _matcher(crawlerdetect, case_sensitive=False)

    def reason(self, agent: str) -> str:
        """`bot`, `non-browser`, or nothing: it may be a person's."""
        agent = _MODEL.sub("(Linux; Android)", agent)
        if "AppleWebKit/" in agent:
            agent = _APPS.sub("", agent)
        found = self._crawler_user_agents.Match(agent)
        if found:
            return "bot" if any(self._kinds[i] == "bot" for i in found) else "non-browser"
        if _PEOPLES.search(agent):
            return ""
        if self._crawlerdetect.Match(agent) or _NAMED_IN_ENGINE in agent:
            return "bot"
        if is_crawler(agent):
            return "non-browser" if crawler_signals(agent) == ["no_browser_signature"] else "bot"
        return "non-browser" if _PROGRAMS.search(agent) or not _BROWSERS.search(agent) else ""


def versions() -> dict[str, str]:
    """The lists' versions, by package."""
    return {name: version(name) for name in ("crawler-user-agents", "crawlerdetect", "is-crawler")}


def _matcher(patterns: list[str], case_sensitive: bool) -> re2.Set:
    options = re2.Options()
    options.case_sensitive = case_sensitive
    options.max_mem = _MATCHER_BYTES
    options.log_errors = False
    matcher = re2.Set.SearchSet(options)
    for pattern in patterns:
        if pattern not in _LEFT_OUT and "(?!" not in pattern:  # re2 knows no look-ahead
            matcher.Add(pattern)
    matcher.Compile()
    return matcher
