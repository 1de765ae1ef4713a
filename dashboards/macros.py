"""What Grafana and its ClickHouse plugin put into a panel's SQL, done here.

The rules are those of grafana-clickhouse-datasource 4 (`pkg/macros`) for `$__…` and of Grafana for `${…}`.
"""

import re
from collections.abc import Mapping

_MACRO = re.compile(r"\$__(\w+)(?:\(([\w.]+)\))?")
_VARIABLE = re.compile(r"\$\{(\w+)(?::(singlequote))?\}")

#: The variable that Grafana itself gives: a name of the IANA time zone database, or `utc`.
TIMEZONE = "__timezone"


def expand(sql: str, start_s: int, end_s: int, interval_s: int = 60, variables: Mapping[str, str] | None = None) -> str:
    """`sql` over the range from `start_s` to `end_s` (epoch seconds), its moments `interval_s` apart.

    `variables` are texts as they stand in SQL. Raise `ValueError` for a macro or variable that isn't known here, since
    Grafana would run what the live page can't.
    """
    start, end = f"toDateTime({start_s})", f"toDateTime({end_s})"
    known = variables or {}

    def variable(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ValueError(f"unknown variable {match[0]}")
        return known[match[1]]

    def macro(match: re.Match[str]) -> str:
        name, argument = match.groups()
        if name == "timeFilter" and argument:
            return f"{argument} >= {start} AND {argument} <= {end}"
        if name == "timeInterval" and argument:
            return f"toStartOfInterval(toDateTime({argument}), INTERVAL {max(interval_s, 1)} second)"
        if name == "interval_s":
            return str(max(interval_s, 1))
        if name == "fromTime":
            return start
        if name == "toTime":
            return end
        raise ValueError(f"unknown macro {match[0]}")

    return _MACRO.sub(macro, _VARIABLE.sub(variable, sql))
