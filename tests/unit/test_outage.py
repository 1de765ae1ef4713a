"""An outage is one line when it begins, one a minute, and one when it is over."""

import logging

import pytest

from pixeltally.outage import Outage, Quiet


def test_an_outage_is_summed_up(caplog):
    outage = Outage(logging.getLogger("test"), "Kafka", "hits are kept")
    for second in range(150):
        outage.note("refused", 1000.0 + second)
    outage.note("", 1150)
    outage.note("", 1151)
    outage.note("refused", 1152)
    assert [record.getMessage() for record in caplog.records] == [
        "Kafka is away: refused; hits are kept",
        "Kafka is away for 60 s: refused; hits are kept",
        "Kafka is away for 120 s: refused; hits are kept",
        "Kafka is back after 150 s",
        "Kafka is away: refused; hits are kept",
    ]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("FAIL [rdkafka#producer-1] [thrd:x]: x: Connect to ipv4#127.0.0.1:1 failed: Connection refused", False),
        ("GETPID [rdkafka#producer-1] [thrd:main]: Failed to acquire idempotence PID from broker: retrying", False),
        ("FATAL [rdkafka#producer-1] [thrd:main]: Fatal error", True),
    ],
)
def test_librdkafkas_repetitions_are_dropped(line, kept):
    record = logging.LogRecord("kafka", logging.ERROR, "", 0, line, None, None)
    assert Quiet().filter(record) is kept
