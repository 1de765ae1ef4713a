"""The demo's e-mail: who gets it, and by what its image is asked for."""

from random import Random

from local.visitors import Visitor, addresses, agents

CAMPAIGN = "newsletter"
CREATIVES = ("monday", "sale")

RECIPIENTS = 3_000

#: Of a hundred recipients: who reads by a service that fetches images itself, from which addresses and as whom.
_SERVICES = (
    (35, "66.249.84.", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"),
    (40, "104.28.42.", "Mozilla/5.0"),  # Apple Mail with Mail Privacy Protection
    (5, "98.136.10.", "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"),
)


class Recipients:
    """Who opens an e-mail next, and who is behind that."""

    def __init__(self, random: Random) -> None:
        self._random = random
        ips, browsers = addresses(random), agents(random)
        names = [f"reader-{number:04}" for number in range(RECIPIENTS)]
        self._readers = {name: Visitor(next(ips), next(browsers), name) for name in names}
        self._openers = [self._opener(reader) for reader in self._readers.values()]

    def opens(self) -> Visitor:
        """Whoever asks for the image of the e-mail that is opened next."""
        return self._openers[int(self._random.random() ** 2 * RECIPIENTS)]

    def reader(self, opener: Visitor) -> Visitor:
        """The recipient's own browser."""
        return self._readers[opener.subscriber]

    def _opener(self, reader: Visitor) -> Visitor:
        chance = self._random.random() * 100
        for percent, network, agent in _SERVICES:
            if chance < percent:
                return Visitor(f"{network}{self._random.randrange(256)}", agent, reader.subscriber)
            chance -= percent
        return reader
