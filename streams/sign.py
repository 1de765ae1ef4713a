"""What is seen of a request that rules speak of: bits of one number, so that what was judged once is looked up."""

INTERNAL = 1 << 0  #: the address is in one of the ranges of PIXELTALLY_INTERNAL
CRAWLER = 1 << 1  #: the address is in a range that a crawler's owner publishes, or an e-mail scanner's
DATACENTER = 1 << 2  #: the address is rented out by a hosting provider
NO_ADDRESS = 1 << 3  #: none is kept: a server's report, an anonymous request, PIXELTALLY_STORE_IP=none
BOT = 1 << 4  #: the agent is a known bot's
NON_BROWSER = 1 << 5  #: the agent is a program's that shows nothing to anybody
NO_AGENT = 1 << 6  #: none is named, or kept
MAIL_PROXY = 1 << 7  #: the agent is an e-mail service's that fetches images for whom reads
MAIL_MACHINE = 1 << 8  #: the agent is a mail program's that fetches images whether anybody reads or not
OPEN = 1 << 9  #: the request is for an e-mail's image
PREFETCH = 1 << 10  #: a header says that nothing is shown yet
LOCAL = 1 << 11  #: nobody on the Internet has the address: private, loopback, for documentation
SHARED = 1 << 12  #: more people sit behind the address than any limit foresees
BAD_ADDRESS = 1 << 13  #: what is said to be the address is none

UNREGISTERED = 1 << 14  #: the ad unit is not counted

#: There are so many combinations.
ALL = 1 << 15
