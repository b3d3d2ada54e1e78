"""Errors about files that a command writes."""

from __future__ import annotations

from leuko.images import file_types


class OutputError(ValueError):
    """A result cannot be written; the message is one sentence that says what to do."""


class ForeignFileError(OutputError):
    """A result would replace a file that this program did not write."""


def not_written(file: object, error: OSError) -> OutputError:
    """The error for a file, or something else with a name, that the system could not write."""
    reason = error.strerror or "is the disk full?"
    return OutputError(f"{file_types.readable(str(file))} cannot be written ({reason}).")
