"""What a soak has shown: whether it is flat, and what a million hits cost."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

MIB = 1 << 20

#: Flat: of three parts of the time the first is warm-up, and the median of the last is at most so far above that of the
#: second: by this share, or by this much of what is small.
GROWTH_PERCENT = 5
MEMORY_SLACK = 8 * MIB
FILES_SLACK = 5
SPOOL_SLACK = 8 * MIB

#: What is kept grows with the hits; it may not grow faster than they do, by this share.
STEEPER_PERCENT = 15


class Seen(NamedTuple):
    """A process at a moment."""

    pid: int
    rss: int
    files: int
    cpu_s: float


class Sample(NamedTuple):
    """A stack at a moment."""

    at_s: float
    hits: int  #: answered so far
    processes: dict[str, Seen]
    disk: dict[str, int]  #: bytes


def report(samples: Sequence[Sample]) -> tuple[str, bool]:
    """The figures as text, and whether all is flat. The last sample is of when all was counted."""
    problems: list[str] = []
    lines = [*_processes(samples, problems), "", *_disk(samples, problems), "", *_cost(samples), ""]
    lines += problems or ["flat: no process was started again; memory, open files and spool don't grow"]
    return "\n".join(lines), not problems


def _processes(samples: Sequence[Sample], problems: list[str]) -> list[str]:
    names = [name for name in samples[0].processes if all(name in each.processes for each in samples)]
    problems += [f"NOT FLAT  {name} was gone for a while" for name in samples[0].processes if name not in names]
    lines = [f"{'':18}{'memory, MiB: 2nd third':>26}{'last third':>12}{'most':>9}{'open files':>14}{'last':>7}"]
    for name in sorted(names):
        if len({each.processes[name].pid for each in samples}) > 1:
            problems.append(f"NOT FLAT  {name} was started again")
        memory = _thirds(samples, lambda each, name=name: each.processes[name].rss)  # type: ignore[misc]
        files = _thirds(samples, lambda each, name=name: each.processes[name].files)  # type: ignore[misc]
        _judge(problems, f"memory of {name}", memory, MEMORY_SLACK)
        _judge(problems, f"open files of {name}", files, FILES_SLACK)
        most = max(each.processes[name].rss for each in samples)
        told = f"{name:18}{memory[0] / MIB:>26.1f}{memory[1] / MIB:>12.1f}{most / MIB:>9.1f}"
        lines.append(f"{told}{files[0]:>14.0f}{files[1]:>7.0f}")
    return lines


def _disk(samples: Sequence[Sample], problems: list[str]) -> list[str]:
    """The spool is flat; what is kept grows as the hits do."""
    spool = _thirds(samples, lambda each: each.disk["spool"])
    _judge(problems, "the spool", spool, SPOOL_SLACK)
    lines = [f"{'spool':18}{spool[0] / MIB:>10.1f} MiB, last third {spool[1] / MIB:.1f} MiB"]
    third = len(samples) // 3
    for name in samples[0].disk:
        if name == "spool":
            continue
        second, last = (_per_hit(samples, name, at, at + third - 1) for at in (third, 2 * third))
        whole = _per_hit(samples, name, 0, -1)
        lines.append(f"{name:18}{whole:>10.1f} bytes a hit; 2nd third {second:.1f}, last third {last:.1f}")
        if last > max(second, whole) * (1 + STEEPER_PERCENT / 100):
            problems.append(f"NOT FLAT  {name} takes more and more bytes a hit: {second:.1f}, then {last:.1f}")
    return lines


def _per_hit(samples: Sequence[Sample], name: str, first: int, last: int) -> float:
    one, other = samples[first], samples[last]
    return (other.disk[name] - one.disk[name]) / max(1, other.hits - one.hits)


def _cost(samples: Sequence[Sample]) -> list[str]:
    first, last = samples[0], samples[-1]
    lines = [
        f"{last.hits:,} hits in {last.at_s / 60:.1f} min, {last.hits / last.at_s:,.0f} hits/s; CPU a million hits:"
    ]
    for name in sorted(first.processes.keys() & last.processes.keys()):
        spent = last.processes[name].cpu_s - first.processes[name].cpu_s
        lines.append(f"{name:18}{spent / max(1, last.hits) * 1e6:>10.1f}")
    return lines


def _thirds(samples: Sequence[Sample], value: Callable[[Sample], int]) -> tuple[float, float]:
    """The median of the second and of the last third."""
    third = len(samples) // 3
    return median(map(value, samples[third : 2 * third])), median(map(value, samples[2 * third :]))


def _judge(problems: list[str], what: str, thirds: tuple[float, float], slack: int) -> None:
    second, last = thirds
    if last > second + max(slack, second * GROWTH_PERCENT / 100):
        problems.append(f"NOT FLAT  {what}: {second:,.0f}, then {last:,.0f}")
