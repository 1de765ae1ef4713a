"""A stack for tests: `stand_in_stack.py TIER…` in the order of their stop.

A tier is `NAME:PORT` or `NAME:PORT:BEHAVIOUR`, a stand-in, or `broker`, the real one.
"""

import sys
from pathlib import Path

from local import stack
from local.readiness import answers
from local.stack import Failed, Tier
from pixeltally.errors import Refused
from pixeltally.settings import Settings

settings = Settings.from_env()


def tier(text: str) -> Tier:
    if text == "broker":
        return stack.tiers(settings)[-1]
    name, port, *behaviour = text.split(":")
    script = str(Path(__file__).with_name("stand_in.py"))
    argv = [sys.executable, script, f"pixeltally {name}", port, str(settings.data / "events"), *behaviour]
    return Tier(name, argv, f"http://127.0.0.1:{port}/", answers(f"http://127.0.0.1:{port}/"))


try:
    with stack.Stack(settings, [tier(text) for text in sys.argv[1:]]) as running:
        running.wait()
except Refused as refusal:
    print(f"pixeltally: {refusal}", file=sys.stderr)
    sys.exit(2)
except Failed as failure:
    print(f"pixeltally: {failure}", file=sys.stderr)
    sys.exit(1)
