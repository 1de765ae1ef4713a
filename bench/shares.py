"""Holds a process to a share of a core, by Linux's control groups (version 1), where this user may write them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CPU = Path("/sys/fs/cgroup/cpu")

#: The kernel lets a process run for its share of each of these.
_PERIOD_US = 20_000


def can_hold() -> bool:
    """Whether `held` works here."""
    return (_CPU / "cpu.shares").exists() and os.access(_CPU, os.W_OK)


@contextmanager
def held(pid: int, share: float) -> Iterator[None]:
    """Have all threads of a process share so much of a core, until the block ends; it must not end before."""
    group = _CPU / f"pixeltally-bench-{pid}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(round(share * _PERIOD_US)))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for each in (group / "cgroup.procs").read_text().split():
            (_CPU / "cgroup.procs").write_text(each)
        group.rmdir()
