"""`DataError`: the error for data that cannot be used."""

from __future__ import annotations


class DataError(ValueError):
    """The data cannot be used; the message is one line that says what is wrong and what to do."""
