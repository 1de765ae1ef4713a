"""The independent recount: naive, slow, plain dicts, written from the contract and not from our code."""

import json
from collections import defaultdict
from decimal import Decimal

IMAGES = ("impression", "open", "view")


def judge(messages, duplicate_ms, attribution_ms, memory_ms):
    """Facts of one partition's messages [(arrived, [hit dict])]: {id: (hit, duplicate, impression id or '')}.

    Hits that were shipped twice (same node and seq) count once. What arrived two or more memory spans ago is
    forgotten, as documented.
    """
    shipped, facts, counted, impressions = set(), {}, [], []
    for arrived, hits in messages:
        for hit in hits:
            if (hit["node"], hit["seq"]) in shipped:
                continue
            shipped.add((hit["node"], hit["seq"]))
            unit = tuple(hit.get(part, "") for part in ("advertiser", "campaign", "creative", "placement"))
            who, is_click = (unit, hit["visitor"]), hit["kind"] == "click"
            known = arrived // memory_ms - 1
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
            facts[hit["id"]] = (hit, duplicate, found)
    return facts


def minutes(facts):
    """{(minute in epoch seconds, ad unit): counts} of what `judge` found."""
    counts = ("gross", "duplicates", "valid", "clicks", "attributed_clicks", "conversions")
    result = defaultdict(lambda: {**dict.fromkeys(counts, 0), "uniques": set(), "revenue": Decimal(0)})
    for hit, duplicate, impression in facts.values():
        unit = tuple(hit.get(part, "") for part in ("advertiser", "campaign", "creative", "placement"))
        row = result[hit["ts"] // 60_000 * 60, unit]
        if hit["kind"] in IMAGES:
            row["gross"] += 1
            row["duplicates"] += duplicate
            row["valid"] += not duplicate
            row["uniques"] |= {hit["visitor"]} - {0}
        elif hit["kind"] == "click" and not duplicate:
            row["clicks"] += 1
            row["attributed_clicks"] += bool(impression)
        elif hit["kind"] == "conversion" and not duplicate:
            row["conversions"] += 1
            row["revenue"] += Decimal(hit.get("value") or 0)
    return {place: {**row, "uniques": len(row["uniques"])} for place, row in result.items()}


def lines(value):
    """The JSON objects of an NDJSON value."""
    return [json.loads(line) for line in value.splitlines() if line]
