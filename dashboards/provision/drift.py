"""How what Grafana holds differs from what we want."""

from collections.abc import Iterator
from typing import Any


def drift(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where `found` says something else than `wanted`, as paths like `panels[2].title`.

    What Grafana adds of its own (ids, versions, defaults) is no difference, and nor is what it leaves out for null.
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from drift(value, found.get(key), f"{path}.{key}" if path else key)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for place, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from drift(one, other, f"{path}[{place}]")
    elif wanted != found and not (wanted in ({}, []) and found is None):
        yield path
