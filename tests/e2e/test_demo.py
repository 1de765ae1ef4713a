"""The demo as a newcomer runs it, and what its proof says."""

import os
import re
import subprocess
import sys

import pytest
from processes import own_ports


@pytest.mark.usefixtures("durable")
def test_it_proves_that_every_hit_is_counted_once(tmp_path):
    environ = {**os.environ, **own_ports(), "PIXELTALLY_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "pixeltally", "demo", "--rate", "400", "--for", "15"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^(impression|open|click|conversion|broken tag)s +(.*)$", done.stdout, re.MULTILINE)
    assert len(rows) == 5
    for kind, numbers in rows:
        sent, counted, missing, twice = (int(number.replace(",", "")) for number in numbers.split())
        assert sent == counted
        assert counted > 0 or kind == "conversion", kind  # half of the orders come later than half a minute
        assert missing == twice == 0
    for what in ("unique IPs", "duplicates"):
        [(expected, counted)] = re.findall(rf"^{what} +([\d,]+) +([\d,]+)$", done.stdout, re.MULTILINE)
        assert expected == counted != "0", what
    assert "Every hit sent is counted exactly once." in done.stdout
