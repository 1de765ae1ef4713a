"""The one exception that people are meant to read."""


class Refused(Exception):
    """What was asked can't be done; its text is one sentence that says what to do. Exit code 2."""
