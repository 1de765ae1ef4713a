"""Says by its exit code whether a tier works: `python -m pixeltally.health URL-OR-GROUP`. For containers.

A tier with a port is asked over HTTP; one without (streams, sink) works if its consumer group is stable: that needs a
member.
"""

import sys
from urllib.error import URLError
from urllib.request import urlopen

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from pixeltally.settings import Settings

_TIMEOUT_S = 5.0


def problem(target: str, kafka_servers: str) -> str:
    """What is wrong with a tier, empty if nothing. `target` is an http URL or a Kafka consumer group."""
    if target.startswith("http://"):
        try:
            with urlopen(target, timeout=_TIMEOUT_S):  # noqa: S310
                return ""
        except (URLError, TimeoutError) as error:
            return f"{target}: {error}"
    admin = AdminClient({"bootstrap.servers": kafka_servers, "log_level": 0})
    try:
        # Not describe_consumer_groups: librdkafka 2.16 aborts on it while Kafka has no coordinator yet.
        working = admin.list_consumer_groups(request_timeout=_TIMEOUT_S, states={ConsumerGroupState.STABLE})
        groups = {group.group_id for group in working.result(_TIMEOUT_S).valid}
    except (KafkaException, TimeoutError) as error:
        return f"{kafka_servers}: {error}"
    return "" if target in groups else f"nobody works in the group {target}"


if __name__ == "__main__":
    sys.exit(problem(sys.argv[1], Settings.from_env().kafka_servers) or 0)
