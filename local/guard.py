"""Ends what a stack started when the stack itself is killed and can't.

Runs beside every stack and reads from it the process groups that it starts (`+123`) and that have ended
(`-123`). Its input ends when the stack does, however it does: then what still runs is killed. The kernel's
own means for this are Linux's alone and don't reach grandchildren. It holds the data folder's lock until
the last of them is gone, so that the next stack can't start among them.
"""

import os
import signal
import sys
import time
from contextlib import suppress

GONE_TIMEOUT_S = 5


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    until = time.monotonic() + GONE_TIMEOUT_S
    while groups and time.monotonic() < until:
        for group in list(groups):
            try:
                os.killpg(group, signal.SIGKILL)
            except OSError:
                groups.remove(group)
        time.sleep(0.02)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
