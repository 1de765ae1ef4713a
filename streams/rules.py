"""The rules by which a request is invalid traffic: a table in the order of primary reasons.

The frame is MRC's Invalid Traffic Detection and Filtration Guidelines (2015, updated 2020), general invalid traffic.
A hit is kept whatever its verdict is, with all its reasons; the verdict is the first of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from pixeltally.hit import VALID, Kind
from streams import sign
from streams.agents import Agent
from streams.fragment import fragment
from streams.places import Place


@dataclass(frozen=True)
class Rule:
    """One rule. Whoever changes what it does raises its version."""

    name: str
    version: int
    reason: str  #: what a hit gets that it applies to; empty: such a request is answered and not recorded
    says: str
    source: str
    applies: Callable[[int], bool] | None = None  #: to a request with these signs; None: judged where `says` tells


def _any(signs: int) -> Callable[[int], bool]:
    return lambda seen: bool(seen & signs)


def _unless_mail(signs: int) -> Callable[[int], bool]:
    """Whoever fetches an e-mail's images by Gmail, Yahoo or Apple is not judged by whom they go through."""
    mail = sign.MAIL_PROXY | sign.MAIL_MACHINE
    return lambda seen: bool(seen & signs) and not (seen & sign.OPEN and seen & mail)


def _non_browser(seen: int) -> bool:
    if seen & sign.LOCAL:
        return False
    nameless = seen & sign.NO_AGENT and not seen & sign.NO_ADDRESS
    return bool(nameless) or _unless_mail(sign.NON_BROWSER)(seen)


_MRC = "MRC IVT guidelines: "

RULES = (
    Rule("head", 1, "", "HEAD, and other methods than GET and POST, are answered and not recorded", "RFC 9110 §9.3.2"),
    Rule(
        "unregistered",
        1,
        "unregistered",
        "the ad unit's advertiser isn't let in, or there are too many ad units (streams/registry.py)",
        "PIXELTALLY_ADVERTISERS, PIXELTALLY_MAX_UNITS",
    ),
    Rule(
        "internal",
        1,
        "internal",
        "the address is in one of the ranges of PIXELTALLY_INTERNAL: our own tests",
        _MRC + "internal and test traffic",
        _any(sign.INTERNAL),
    ),
    Rule(
        "prefetch",
        1,
        "prefetch",
        "Sec-Purpose, Purpose or X-Moz says prefetch, prerender or preview: nothing is shown yet",
        _MRC + "pre-fetch and pre-rendered traffic; W3C/WHATWG Fetch, Sec-Purpose",
        _any(sign.PREFETCH),
    ),
    Rule(
        "bot-agent",
        1,
        "bot",
        "the agent is a known bot's, or names itself within the browser's engine",
        _MRC + "bots, spiders, crawlers; lists crawler-user-agents, CrawlerDetect, is-crawler",
        _unless_mail(sign.BOT),
    ),
    Rule(
        "bot-address",
        1,
        "bot",
        "the address is in a range that a crawler's owner publishes, or an e-mail scanner's",
        _MRC + "bots, spiders, crawlers; list iporigin, autonomous systems of e-mail scanners",
        _unless_mail(sign.CRAWLER),
    ),
    Rule(
        "non-browser",
        1,
        "non-browser",
        "the agent is a program's that shows nothing to anybody, or there is none; not at an address that nobody on the"
        " Internet has: whoever tries the pixel out with curl sees it counted",
        _MRC + "non-browser user agents and unknown browsers",
        _non_browser,
    ),
    Rule(
        "datacenter",
        1,
        "datacenter",
        "the address is a hosting provider's, but no relay's and no company's security service",
        _MRC + "known data-center traffic, not routing artifacts of legitimate users; list iporigin",
        _unless_mail(sign.DATACENTER),
    ),
    Rule(
        "click-timing",
        1,
        "click-timing",
        "a click less than 100 ms after its ad unit's and visitor's first remembered impression (streams/timing.py);"
        " not at an address that nobody on the Internet has",
        "IAB/MRC click measurement guidelines (2009), invalid clicks; World Athletics rule 16.6, false starts",
    ),
    Rule(
        "rate",
        1,
        "rate",
        "after more than 1,000 counted requests of a campaign's visitor in a minute, the rest of it (streams/rate.py)",
        _MRC + "activity-based filtration; RFC 7422 for how many people share an address",
    ),
    Rule(
        "burst",
        1,
        "burst",
        "after more than 200 counted requests of a campaign's visitor in a second, the rest of the minute",
        _MRC + "activity-based filtration; RFC 7422 for how many people share an address",
    ),
)

#: Primary reasons: of two that apply, the verdict is the one that stands first.
ORDER = tuple(dict.fromkeys(rule.reason for rule in RULES if rule.reason))

#: Reasons that need what came before, and that a request alone doesn't tell.
BY_HISTORY = frozenset(ORDER) - {rule.reason for rule in RULES if rule.applies}

#: How an e-mail was opened, as far as a request tells; `confirmed`, by a click, is for SQL to say.
MACHINE, PROXY, PROBABLE = "machine", "proxy", "probable"

_KINDS: dict[Kind, int] = {"open": sign.OPEN, "impression": 0, "view": 0, "click": 0, "conversion": 0}

_PURPOSES = ("prefetch", "prerender", "preview")


class Ruling(NamedTuple):
    """What the rules say of a request."""

    verdict: str  #: `VALID`, or the first of the reasons
    reasons: tuple[str, ...]  #: in the order of primary reasons
    evidence: str  #: of an e-mail's open: machine, proxy or probable
    json: bytes  #: what a fact says of it: `,"verdict":"bot","reasons":["bot"],"rules_version":"…"`


class Judge:
    """Gives rulings; each is made once."""

    def __init__(self, version: str) -> None:
        """`version` of the rules and of all lists."""
        self._version = version
        self._by_signs: dict[int, Ruling] = {}
        self._made: dict[tuple[tuple[str, ...], str], Ruling] = {}

    def judge(
        self, kinds: Sequence[Kind], places: Sequence[Place], agents: Sequence[Agent], purposes: Sequence[str]
    ) -> list[Ruling]:
        """What each request is found to be by itself."""
        signs = [
            place.signs | agent.signs | _KINDS[kind] for kind, place, agent in zip(kinds, places, agents, strict=True)
        ]
        if any(purposes):
            signs = [seen | _purpose(purpose) for seen, purpose in zip(signs, purposes, strict=True)]
        known = self._by_signs
        try:
            return list(map(known.__getitem__, signs))
        except KeyError:
            known.update({seen: self.rule(reasons(seen), evidence(seen)) for seen in signs})
            return list(map(known.__getitem__, signs))

    def also(self, ruling: Ruling, reason: str) -> Ruling:
        """The ruling with one more reason."""
        return self.rule((*ruling.reasons, reason), ruling.evidence)

    def rule(self, reasons: Sequence[str], evidence: str) -> Ruling:
        """The ruling that has these reasons."""
        key = (tuple(reasons), evidence)
        ruling = self._made.get(key)
        if ruling is None:
            ruling = self._made[key] = self._make(*key)
        return ruling

    def _make(self, reasons: tuple[str, ...], evidence: str) -> Ruling:
        ordered = tuple(reason for reason in ORDER if reason in reasons)
        verdict = ordered[0] if ordered else VALID
        json = fragment(verdict=verdict, reasons=ordered, evidence=evidence, rules_version=self._version)
        return Ruling(verdict, ordered, evidence, json)


def reasons(signs: int) -> tuple[str, ...]:
    """Why a request with these signs is invalid, in the order of primary reasons."""
    return tuple(dict.fromkeys(rule.reason for rule in RULES if rule.applies and rule.applies(signs)))


def evidence(signs: int) -> str:
    """How an e-mail was opened, as far as these signs tell; empty where the request is for no e-mail's image."""
    if not signs & sign.OPEN:
        return ""
    if signs & sign.MAIL_PROXY:
        return PROXY
    return MACHINE if signs & sign.MAIL_MACHINE or set(reasons(signs)) - {"internal"} else PROBABLE


def table_version() -> str:
    """A short text that changes with any rule."""
    return f"{crc32(' '.join(f'{rule.name}/{rule.version}' for rule in RULES).encode()):08x}"


def _purpose(header: str) -> int:
    if not header:
        return 0
    lower = header.lower()
    return sign.PREFETCH if any(purpose in lower for purpose in _PURPOSES) else 0
