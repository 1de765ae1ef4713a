"""The independent recount: naive, slow, plain dicts, written from the contract and not from our code."""

import json
from collections import defaultdict
from decimal import Decimal

IMAGES = ("impression", "open", "view")


def judge(messages, duplicate_ms, attribution_ms, memory_ms, *, advertisers=(), max_units=10**9):
    """Facts of one partition's messages [(arrived, [hit dict])]: {id: (hit, verdict, duplicate, impression id or '')}.

    Hits that were shipped twice (same node and seq) count once. What arrived two or more memory spans ago is
    forgotten, as documented. Ad units of advertisers that are not let in, and those beyond `max_units` that are
    not forgotten, are unregistered: their hits are no duplicates and no clicks follow them.
    """
    shipped, facts, counted, impressions, admitted = set(), {}, [], [], []
    for arrived, hits in messages:
        for hit in hits:
            if (hit["node"], hit["seq"]) in shipped:
                continue
            shipped.add((hit["node"], hit["seq"]))
            unit = tuple(hit.get(part, "") for part in ("advertiser", "campaign", "creative", "placement"))
            who, is_click = (unit, hit["visitor"]), hit["kind"] == "click"
            known = arrived // memory_ms - 1
            units = {each for span, each in admitted if span >= known}
            refused = bool(advertisers) and unit[0] not in advertisers
            if unit not in units and (refused or len(units) >= max_units):
                facts[hit["id"]] = (hit, "unregistered", False, "")
                continue
            admitted.append((arrived // memory_ms, unit))
            order = hit.get("order") if hit["kind"] == "conversion" else None
            same = (unit, "order", order) if order else (who, is_click)
            last = [ts for span, key, ts in counted if key == same and span >= known][-1:]
            if order:
                duplicate = bool(last)
            else:
                duplicate = hit["visitor"] != 0 and bool(last) and abs(hit["ts"] - last[0]) < duplicate_ms
            if not duplicate:
                counted.append((arrived // memory_ms, same, hit["ts"]))
            found = ""
            if is_click and hit["visitor"] != 0:
                before = [
                    (ts, id)
                    for span, key, ts, id in impressions
                    if key == who and span >= known and 0 <= hit["ts"] - ts <= attribution_ms
                ]
                found = sorted(before, key=lambda each: each[0])[-1][1] if before else ""
            elif hit["kind"] in IMAGES:
                impressions.append((arrived // memory_ms, who, hit["ts"], hit["id"]))
            facts[hit["id"]] = (hit, "valid", duplicate, found)
    return facts


def minutes(facts):
    """{(minute in epoch seconds, ad unit): counts} of what `judge` found."""
    names = ("gross", "invalid", "duplicates", "valid", "clicks", "attributed_clicks", "conversions")
    result = defaultdict(lambda: {**dict.fromkeys(names, 0), "uniques": set(), "revenue": Decimal(0)})
    for hit, verdict, duplicate, impression in facts.values():
        unit = tuple(hit.get(part, "") for part in ("advertiser", "campaign", "creative", "placement"))
        if verdict == "unregistered":
            unit = ("~unregistered", "~unregistered", "~unregistered", "")
        row = result[hit["ts"] // 60_000 * 60, unit]
        if hit["kind"] in IMAGES:
            row["gross"] += 1
            row["invalid"] += verdict != "valid"
            row["duplicates"] += duplicate
            row["valid"] += verdict == "valid" and not duplicate
            if verdict == "valid":
                row["uniques"] |= {hit["visitor"]} - {0}
        elif verdict != "valid" or duplicate:
            continue
        elif hit["kind"] == "click":
            row["clicks"] += 1
            row["attributed_clicks"] += bool(impression)
        elif hit["kind"] == "conversion":
            row["conversions"] += 1
            row["revenue"] += Decimal(hit.get("value") or 0)
    return {place: {**row, "uniques": len(row["uniques"])} for place, row in result.items()}


def lines(value):
    """The JSON objects of an NDJSON value."""
    return [json.loads(line) for line in value.splitlines() if line]
