"""The rules by which a request is invalid traffic: a table in the order of primary reasons.

The frame is MRC's Invalid Traffic Detection and Filtration Guidelines (2015, updated 2020), general invalid traffic.
A hit is kept whatever its verdict is, with all its reasons; the verdict is the first of them.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np

from pixeltally.compiled import Array, compiled
from pixeltally.fragment import Fragments, fragment
from pixeltally.hit import VALID, Kind
from streams import sign


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
        2,
        "bot",
        "the agent is a known bot's, or names itself within the browser's engine",
        _MRC + "bots, spiders, crawlers; lists crawler-user-agents, CrawlerDetect, is-crawler",
        _unless_mail(sign.BOT),
    ),
    Rule(
        "bot-address",
        2,
        "bot",
        "the address is in a range that a crawler's owner publishes, or an e-mail scanner's",
        _MRC + "bots, spiders, crawlers; list iporigin, autonomous systems and ranges of e-mail scanners",
        _unless_mail(sign.CRAWLER),
    ),
    Rule(
        "non-browser",
        2,
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
        "after more than 200 counted requests of a campaign's visitor in a second, the rest of the minute; seconds are"
        " looked at once the minute has more than 200 (streams/rate.py)",
        _MRC + "activity-based filtration; RFC 7422 for how many people share an address",
    ),
)

#: Primary reasons: of two that apply, the verdict is the one that stands first.
ORDER = tuple(dict.fromkeys(rule.reason for rule in RULES if rule.reason))

#: Reasons that need what came before, and that a request alone doesn't tell.
BY_HISTORY = frozenset(ORDER) - {rule.reason for rule in RULES if rule.applies}

#: How an e-mail was opened, as far as a request tells; `confirmed`, by a click, is for SQL to say.
MACHINE, PROXY, PROBABLE = "machine", "proxy", "probable"

#: Reasons that say nothing against a person.
_OF_NO_MACHINE = frozenset(("internal", "unregistered"))

KIND_SIGNS: dict[Kind, int] = {"open": sign.OPEN, "impression": 0, "view": 0, "click": 0, "conversion": 0}

_PURPOSES = ("prefetch", "prerender", "preview")


class Ruling(NamedTuple):
    """What the rules say of a request."""

    verdict: str  #: `VALID`, or the first of the reasons
    reasons: tuple[str, ...]  #: in the order of primary reasons
    evidence: str  #: of an e-mail's open: machine, proxy or probable


#: Columns of `Judge.table`: the verdict's number, and the start and length of what a fact says.
VERDICT, PIECE, LENGTH = 0, 1, 2


class Judge:
    """Gives rulings, each of which is made once and has a number, and verdicts numbers."""

    def __init__(self, version: str, fragments: Fragments) -> None:
        """`version` of the rules and of all lists."""
        self._version = version
        self._fragments = fragments
        self._by_signs: Array = np.full(sign.ALL, -1)
        self._numbers: dict[Ruling, int] = {}
        self._rulings: list[Ruling] = []
        self.table: Array = np.zeros((0, 3), np.int64)  #: a row each ruling
        self.verdicts = [VALID, *ORDER]  #: by number; those of other versions' facts behind

    def judge(self, signs: Array, units: Array) -> Array:
        """The number of each request's ruling, by what is seen of it and whether its unit is counted (not zero)."""
        numbers = np.empty(len(signs), np.int64)
        if _judge(signs, units, self._by_signs, numbers):
            seen = signs | (units == 0) * sign.UNREGISTERED
            for each in set(seen[numbers < 0].tolist()):
                self._by_signs[each] = self._number(self.ruling(each))
            numbers = self._by_signs[seen]
        return numbers

    def ruling(self, signs: int) -> Ruling:
        """What a request with these signs is found to be."""
        unregistered = ("unregistered",) if signs & sign.UNREGISTERED else ()
        return self.rule((*reasons(signs), *unregistered), evidence(signs))

    def also(self, number: int, reason: str) -> int:
        """The number of the ruling with one more reason."""
        ruling = self._rulings[number]
        return self._number(self.rule((*ruling.reasons, reason), ruling.evidence))

    def rule(self, reasons: Collection[str], evidence: str) -> Ruling:
        """The ruling that has these reasons."""
        ordered = tuple(reason for reason in ORDER if reason in reasons)
        if evidence == PROBABLE and not _OF_NO_MACHINE.issuperset(ordered):
            evidence = MACHINE
        return Ruling(ordered[0] if ordered else VALID, ordered, evidence)

    def verdict(self, name: str) -> int:
        """The number of a verdict."""
        if name not in self.verdicts:
            self.verdicts.append(name)
        return self.verdicts.index(name)

    def _number(self, ruling: Ruling) -> int:
        number = self._numbers.setdefault(ruling, len(self._rulings))
        if number == len(self._rulings):
            self._rulings.append(ruling)
            json = fragment(**ruling._asdict(), rules_version=self._version)
            row = (self.verdict(ruling.verdict), *self._fragments.place(json))
            self.table = np.vstack([self.table, np.array([row])])
        return number


@compiled
def _judge(signs: Array, units: Array, by_signs: Array, numbers: Array) -> int:
    """Look up what was judged before; how many were not (-1)."""
    unknown = 0
    for index in range(signs.size):
        numbers[index] = by_signs[signs[index] | (sign.UNREGISTERED if units[index] == 0 else 0)]
        unknown += numbers[index] < 0
    return unknown


def reasons(signs: int) -> tuple[str, ...]:
    """Why a request with these signs is invalid, in the order of primary reasons."""
    return tuple(dict.fromkeys(rule.reason for rule in RULES if rule.applies and rule.applies(signs)))


def evidence(signs: int) -> str:
    """How an e-mail was opened, as far as agents tell; empty where the request is for no e-mail's image."""
    if not signs & sign.OPEN:
        return ""
    if signs & sign.MAIL_PROXY:
        return PROXY
    return MACHINE if signs & sign.MAIL_MACHINE else PROBABLE


def table_version() -> str:
    """A short text that changes with any rule."""
    return f"{crc32(' '.join(f'{rule.name}/{rule.version}' for rule in RULES).encode()):08x}"


def purpose_sign(header: str) -> int:
    """What a request's header says that it is for."""
    if not header:
        return 0
    lower = header.lower()
    return sign.PREFETCH if any(purpose in lower for purpose in _PURPOSES) else 0
