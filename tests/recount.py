"""The independent recount: naive, slow, plain dicts, written from the contract and not from our code."""

import json
from collections import defaultdict
from decimal import Decimal

IMAGES = ("impression", "open", "view")


def judge(messages, duplicate_ms, attribution_ms, memory_ms, *, advertisers=(), max_units=10**9, rule=None):
    """Facts of one partition's messages [(arrived, [hit dict])]: {id: (hit, verdict, duplicate, leader's id or '')}.

    Hits that were shipped twice (same node and seq) count once. What arrived two or more memory spans apart knows
    nothing of each other, as documented. Ad units of advertisers that are not let in, and those beyond `max_units`
    that are not forgotten, are unregistered: their hits are no duplicates and nothing follows or is followed by them.
    `rule(hit)` says what else a request's verdict is by itself; what isn't valid is neither counted nor a duplicate.
    A click's leader is its impression; that of a conversion which names no click is its click. A click less than
    100 ms after the first impression known when its message came is invalid.
    """
    shipped, facts, counted, admitted = set(), {}, defaultdict(list), {}
    impressions, clicks, followers = defaultdict(list), defaultdict(list), []
    for arrived, hits in messages:
        span, registered = arrived // memory_ms, []
        for hit in hits:
            if (hit["node"], hit["seq"]) in shipped:
                continue
            shipped.add((hit["node"], hit["seq"]))
            unit = tuple(hit.get(part, "") for part in ("advertiser", "campaign", "creative", "placement"))
            units = {each for each, seen in admitted.items() if seen >= span - 1}
            refused = bool(advertisers) and unit[0] not in advertisers
            if unit not in units and (refused or len(units) >= max_units):
                facts[hit["id"]] = (hit, "unregistered", False, "")
                continue
            admitted[unit] = span
            pixel, person = (unit, hit["visitor"]), (hit["advertiser"], hit["campaign"], hit["visitor"])
            registered.append((hit, unit, pixel))
            if hit["visitor"] == 0:
                continue
            if hit["kind"] in IMAGES:
                impressions[pixel].append((hit["ts"], hit["id"], span))
            elif hit["kind"] == "click":
                clicks[person].append((hit["ts"], hit["id"], span))
                followers.append((hit["id"], span, impressions, pixel))
            elif not hit.get("click_id"):
                followers.append((hit["id"], span, clicks, person))
        for hit, unit, pixel in registered:
            verdict = rule(hit) if rule else "valid"
            if verdict == "valid" and hit["kind"] == "click":
                seen = [ts for ts, _, seen in impressions[pixel] if seen >= span - 1]
                follows = any(0 <= hit["ts"] - ts <= attribution_ms for ts in seen)
                verdict = "click-timing" if follows and hit["ts"] - min(seen) < 100 else "valid"
            order = hit.get("order") if hit["kind"] == "conversion" else None
            same = (unit, "order", order) if order else (pixel, "image" if hit["kind"] in IMAGES else hit["kind"])
            known = [ts for seen, ts in counted[same] if seen >= span - 1]
            near = any(order or abs(hit["ts"] - ts) < duplicate_ms for ts in known)
            duplicate = verdict == "valid" and near and (bool(order) or hit["visitor"] != 0)
            if verdict == "valid" and not duplicate:
                counted[same].append((span, hit["ts"]))
            facts[hit["id"]] = (hit, verdict, duplicate, "")
    for id, span, leaders, key in followers:
        hit, verdict, duplicate, _ = facts[id]
        known = [
            (ts, leader)
            for ts, leader, seen in leaders[key]
            if abs(seen - span) <= 1 and 0 <= hit["ts"] - ts <= attribution_ms
        ]
        facts[id] = (hit, verdict, duplicate, max(known)[1] if known else "")
    return facts


def minutes(facts):
    """{(minute in epoch seconds, ad unit): counts} of what `judge` found."""
    names = ("gross", "invalid", "duplicates", "valid", "clicks", "attributed_clicks", "conversions")
    result = defaultdict(lambda: {**dict.fromkeys(names, 0), "uniques": set(), "revenue": Decimal(0)})
    for hit, verdict, duplicate, leader in facts.values():
        unit = tuple(hit.get(part, "") for part in ("advertiser", "campaign", "creative", "placement"))
        if verdict == "unregistered":
            unit = ("~unregistered", "~unregistered", "~unregistered", "")
        row = result[hit["ts"] // 60_000 * 60, unit]
        if hit["kind"] in IMAGES:
            row["gross"] += 1
            row["invalid"] += verdict != "valid"
            row["duplicates"] += verdict == "valid" and duplicate
            row["valid"] += verdict == "valid" and not duplicate
            if verdict == "valid":
                row["uniques"] |= {hit["visitor"]} - {0}
        elif verdict != "valid" or duplicate:
            continue
        elif hit["kind"] == "click":
            row["clicks"] += 1
            row["attributed_clicks"] += bool(leader)
        elif hit["kind"] == "conversion":
            row["conversions"] += 1
            row["revenue"] += Decimal(hit.get("value") or 0)
    return {place: {**row, "uniques": len(row["uniques"])} for place, row in result.items()}


def lines(value):
    """The JSON objects of an NDJSON value."""
    return [json.loads(line) for line in value.splitlines() if line]


def orders(facts):
    """The conversions of a list of facts that count: of each order of a campaign the first that is valid."""
    first = {}
    for fact in facts:
        if fact["kind"] == "conversion":
            key = (fact["advertiser"], fact["campaign"], fact.get("order") or fact["id"])
            first[key] = min(first.get(key, fact), fact, key=lambda each: (not counts(each), each["ts"], each["id"]))
    return [fact for fact in first.values() if counts(fact)]


def counts(fact):
    """Whether it is valid and no duplicate."""
    return fact["verdict"] == "valid" and not fact["duplicate"]


def funnel(facts, listed=()):
    """{visitor: (steps that they took)} by a campaign's facts: valid ones, one conversion an order, nobody left out."""
    took = {visitor: {"sent"} for visitor in listed}
    for fact in facts:
        if fact["kind"] != "conversion" and fact["verdict"] == "valid":
            took.setdefault(fact["visitor"], set()).add("clicked" if fact["kind"] == "click" else "opened")
    for visitor in buyers(facts):
        took.setdefault(visitor, set()).add("converted")
    took.pop(0, None)
    return took


def buyers(facts):
    """Whose each order of a campaign is that counts and isn't nobody's."""
    clicks = {fact["id"]: fact for fact in facts if fact["kind"] == "click"}
    return [visitor for order in orders(facts) if (visitor := buyer(order, clicks))]


def buyer(order, clicks):
    """Whose an order is: of whoever clicked the click of {id: click} that it followed, else its own visitor's."""
    click = clicks.get(order.get("click_id"))
    is_same = click is not None and (click["advertiser"], click["campaign"]) == (order["advertiser"], order["campaign"])
    return (click["visitor"] if is_same else 0) or order["visitor"]
