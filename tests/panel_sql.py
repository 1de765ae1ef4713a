"""What a panel's SQL reads."""

import re


def tables(sql: str) -> set[str]:
    """Tables and views that it names, but for those that it makes by WITH."""
    own = set(re.findall(r"(\w+) AS\s+\(", sql))
    return set(re.findall(r"(?<!FILL )(?<!ARRAY )\b(?:FROM|JOIN)\s+([a-z_.]+)", sql)) - own
