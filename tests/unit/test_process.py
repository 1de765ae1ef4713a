"""A process ends with its parent, also where that was gone before it could ask for it."""

import os
import subprocess
import sys

from pixeltally.process import environment_of_children

CHILD = "from pixeltally.process import die_with_parent; die_with_parent(); print('lives')"


def child(environment):
    command = [sys.executable, "-c", CHILD]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=30)


def test_whose_parent_lives_lives():
    assert child(environment_of_children()).stdout == "lives\n"
    assert child(os.environ).stdout == "lives\n"


def test_whose_parent_is_gone_already_ends():
    orphan = child({**environment_of_children(), "PIXELTALLY_PARENT_PID": "1"})
    assert (orphan.returncode, orphan.stdout) == (-9, "")
