"""Commands of the streams tier."""

from pixeltally.command import command
from pixeltally.settings import Settings


@command()
def streams(settings: Settings) -> None:
    """Run one Faust worker: hits to facts and minutes. Start as many as there are partitions.

    \b
    Example: PIXELTALLY_KAFKA=kafka:9092 pixeltally streams
    """
    from streams import worker

    worker.run(settings)
