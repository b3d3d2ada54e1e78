"""The error that says what is wrong with data."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be trained on; the message is one line that says what to do."""
