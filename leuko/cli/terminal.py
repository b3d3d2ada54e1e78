"""How a command ends: errors of the user as one line without a traceback, and no failure because of the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

CLOSED_PIPE = 128 + 13  # the exit status that shells report for a program ended by SIGPIPE
INTERRUPTED = 128 + 2  # and for one ended by Ctrl-C


def run_quietly(command: Callable[[], int | None]) -> int:
    """Run a command; an error is printed as one line on stderr.

    Returns:
        The exit status: the command's own, 1 for an error, `CLOSED_PIPE` where the reader of the output has closed it
        (`| head`), `INTERRUPTED` for Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # characters that the terminal cannot show are escaped
    try:
        status = command()
        if sys.stdout:
            sys.stdout.flush()
        return status or 0
    except BrokenPipeError:
        return CLOSED_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(_message(error), file=sys.stderr)
    except ValueError as error:  # base class of the errors about images, data and models: their messages are for users
        print(error, file=sys.stderr)
    finally:
        _discard_unwritable_output()
    return 1


def _message(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}." if error.filename else f"{reason}."


def _discard_unwritable_output() -> None:
    """Send what is left of stdout to nowhere if it cannot be written; else the interpreter fails when it exits."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
