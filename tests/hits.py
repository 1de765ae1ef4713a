"""Hits as ingest ships them, for tests that put them into Kafka themselves."""

import json
import time
import uuid

from processes import BROWSER


def hit(seq, /, **changed):
    return {
        "id": str(uuid.uuid4()),
        "ts": time.time_ns() // 1_000_000,
        "kind": "impression",
        "advertiser": "poisoned",
        "campaign": "spring",
        "creative": "banner",
        "visitor": seq + 1,
        "node": "poisoner",
        "seq": seq,
        "ip": "192.0.2.1",
        "user_agent": BROWSER,
    } | changed


def encoded(seq, /, **changed):
    return json.dumps(hit(seq, **changed)).encode()
