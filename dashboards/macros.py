"""What Grafana and its ClickHouse plugin put into a panel's SQL, done here.

The rules are those of grafana-clickhouse-datasource 4 (`pkg/macros`) for `$__…` and of Grafana for `${…}`.
"""

import re
from collections.abc import Mapping
from typing import Literal

_MACRO = re.compile(r"\$__(\w+)(?:\(([\w.]+)\))?")
#: A variable is a text, and stands in quotes of its own or asks for them.
_VARIABLE = re.compile(r"'\$\{(\w+)\}'|\$\{(\w+):singlequote\}")

#: The variable that Grafana itself gives: a name of the IANA time zone database, or `utc`.
TIMEZONE = "__timezone"


def expand(
    sql: str,
    start_s: int,
    end_s: int,
    interval_s: int = 60,
    variables: Mapping[str, str] | None = None,
    *,
    until: Literal["<=", "<"] = "<=",
) -> str:
    """`sql` over the range from `start_s` to `end_s` (epoch seconds), its moments `interval_s` apart.

    `variables` are SQL that takes the place of a quoted text. The plugin's range holds its end; `until` "<" leaves it
    out, so that ranges that follow one another share nothing. Raise `ValueError` for a macro or variable that isn't
    known here, since Grafana would run what the live page can't.
    """
    start, end = f"toDateTime({start_s})", f"toDateTime({end_s})"
    # ClickHouse 26.9 reads `DateTime64 < DateTime` of an index as `<=` the second before, and loses that second's rows.
    last = end if until == "<=" else f"toDateTime64({end_s}, 3)"
    known = variables or {}

    def variable(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in known:
            raise ValueError(f"unknown variable {match[0]}")
        return known[name]

    def macro(match: re.Match[str]) -> str:
        name, argument = match.groups()
        if name == "timeFilter" and argument:
            return f"{argument} >= {start} AND {argument} {until} {last}"
        if name == "timeInterval" and argument:
            return f"toStartOfInterval(toDateTime({argument}), INTERVAL {max(interval_s, 1)} second)"
        if name == "interval_s":
            return str(max(interval_s, 1))
        if name == "fromTime":
            return start
        if name == "toTime":
            return end
        raise ValueError(f"unknown macro {match[0]}")

    expanded = _MACRO.sub(macro, _VARIABLE.sub(variable, sql))
    if "${" in expanded:
        raise ValueError(f"unknown variable in {expanded[expanded.index('${') :][:40]}")
    return expanded
