"""What the lists say of requests: asked of `pixeltally rules judge`, which looks into the same lists as streams."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pixeltally.errors import Refused

FIELDS = ("kind", "ip", "user_agent", "purpose")


class Ruling(NamedTuple):
    """What they say of one."""

    reasons: tuple[str, ...]
    network: str  #: shared, local or empty
    version: str  #: of rules and lists


def of(questions: Iterable[tuple[str, ...]], settings: Mapping[str, str]) -> Iterator[Ruling]:
    """The answers, in the questions' order; `settings`: those that the statement names. Raises :class:`Refused`."""
    environ = {**os.environ, "PIXELTALLY_INTERNAL": settings.get("internal", "")}
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answered:
        for question in questions:
            asked.write(json.dumps(dict(zip(FIELDS, question, strict=True))).encode() + b"\n")
        asked.seek(0)
        command = [sys.executable, "-m", "pixeltally", "rules", "judge"]
        if subprocess.run(command, env=environ, stdin=asked, stdout=answered, check=False).returncode:
            raise Refused("`pixeltally rules judge` failed, see above: verdicts can't be found again without it.")
        answered.seek(0)
        for line in answered:
            said = json.loads(line)
            yield Ruling(tuple(said["reasons"]), said["network"], said["rules_version"])
