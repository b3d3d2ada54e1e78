"""How a command meets its terminal: no traceback for what users do, and no end by a character or a closed pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

CLOSED_PIPE = 128 + 13  # what a shell reports of a program that SIGPIPE ended
INTERRUPTED = 128 + 2


def run_quietly(command: Callable[[], int | None]) -> int:
    """Run a command; what goes wrong is printed as one line on stderr.

    Returns:
        Its exit status: 1 for an error, as of a shell for a pipe that the reader has closed (`| head`) and for Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character ends nothing
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
        print(_told(error), file=sys.stderr)
    except ValueError as error:  # also of models and data: their messages are for users
        print(error, file=sys.stderr)
    finally:
        _let_go_of_stdout()
    return 1


def _told(error: OSError) -> str:
    why = error.strerror or str(error)
    return f"{error.filename}: {why}." if error.filename else f"{why}."


def _let_go_of_stdout() -> None:
    """Have the interpreter find nothing to write when it ends, if what is left cannot be written."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
