"""Who of a campaign's was sent to, opened, clicked and converted, and who was not."""

import re
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from ledger.campaign import Campaign
from pixeltally.errors import Refused

STEPS = ("sent", "opened", "clicked", "converted")

#: Columns of the funnel and of the list of who took which step.
STEP = ("step", "visitors", "on_list", "of_sent", "of_step_before")
PERSON = ("subscriber", "visitor", "evidence", "sent_at", "opened_at", "clicked_at", "converted_at")

#: What an e-mail's open proves, weakest first.
EVIDENCE = ("machine", "proxy", "probable")

_WHICH = re.compile(rf"({'|'.join(STEPS)})(?:-not-({'|'.join(STEPS)}))?")


@dataclass(frozen=True)
class Funnel:
    """How many went how far."""

    visitors: dict[str, int]  #: by step; those on the list and others
    listed: dict[str, int]  #: by step; those on the list alone
    conversions: int
    unique_visitors: int  #: who saw it: what the conversion rate divides by
    evidence: dict[str, int]  #: of those who opened an e-mail: by the strongest that their opens have

    @property
    def conversion_rate(self) -> float | None:
        """Conversions ÷ unique visitors; None without any."""
        return _share(self.conversions, self.unique_visitors)

    def rows(self) -> list[dict[str, Any]]:
        """A row a step; shares are of whom it was sent to, and of those on the list who took the step before."""
        sent, before, rows = self.listed["sent"], self.listed["sent"], []
        for step in STEPS:
            took = self.listed[step]
            row = (step, self.visitors[step], took, _share(took, sent), _share(took, before))
            rows.append(dict(zip(STEP, row, strict=True)))
            before = took
        return rows

    def rate(self) -> dict[str, Any]:
        """The conversion rate and what it is made of; how e-mails were opened."""
        return {
            "conversions": self.conversions,
            "unique_visitors": self.unique_visitors,
            "conversion_rate": self.conversion_rate,
            "opened_by_evidence": self.evidence,
        }

    def sentences(self) -> str:
        """The same in words."""
        made_of = f"{self.conversions:,} conversions ÷ {self.unique_visitors:,} unique visitors"
        rate = made_of if self.conversion_rate is None else f"{made_of} = {self.conversion_rate:.2%}"
        if not any(self.evidence.values()):
            return rate
        return f"{rate}\ne-mails opened by: " + ", ".join(f"{name} {count:,}" for name, count in self.evidence.items())


def count(client: Client, campaign: Campaign) -> Funnel:
    """The campaign's funnel."""
    steps = ", ".join(f"countIf({step}), countIf({step} AND sent)" for step in STEPS)
    proofs = ", ".join(f"countIf(evidence = '{each}')" for each in EVIDENCE)
    row = client.query(
        f"SELECT {proofs}, {steps}, sum(conversions) FROM funnel"
        " WHERE advertiser = {advertiser:String} AND campaign = {campaign:String}",
        parameters=campaign._asdict(),
    ).result_rows[0]
    evidence, took, conversions = row[: len(EVIDENCE)], row[len(EVIDENCE) : -1], row[-1]
    visitors, listed = dict(zip(STEPS, took[::2], strict=True)), dict(zip(STEPS, took[1::2], strict=True))
    return Funnel(visitors, listed, int(conversions), visitors["opened"], dict(zip(EVIDENCE, evidence, strict=True)))


def who(client: Client, campaign: Campaign, which: str) -> list[dict[str, Any]]:
    """Subscribers and visitors of `STEP` or `STEP-not-STEP`, with when they took each step.

    Raises :class:`Refused` where `which` is neither.
    """
    match = _WHICH.fullmatch(which)
    if match is None:
        raise Refused(f"--who {which!r}: say {', '.join(STEPS)}, or two of them such as opened-not-clicked")
    did, did_not = match.groups()
    answer = client.query(
        f"SELECT {', '.join(PERSON)} FROM funnel"
        f" WHERE advertiser = {{advertiser:String}} AND campaign = {{campaign:String}}"
        f" AND {did} AND NOT {did_not or 'false'} ORDER BY subscriber, visitor",
        parameters=campaign._asdict(),
    )
    return [dict(zip(PERSON, row, strict=True)) for row in answer.result_rows]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
