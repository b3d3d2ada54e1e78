"""The command `leuko`: one module of this package for each of its subcommands."""

from __future__ import annotations

import argparse
import sys

from leuko.cli import (
    ablate,
    adapt,
    case,
    classify,
    compare,
    eda,
    evaluate,
    field,
    publish,
    serve,
    train,
    train_kinds,
    train_segmenter,
    tune,
)
from leuko.cli.options import UsageError, Version
from leuko.cli.terminal import run_quietly
from leuko.system import optional_packages

COMMANDS = (
    classify, field, case, eda, evaluate, train, train_segmenter, train_kinds, tune, compare, ablate, adapt, publish,
    serve,
)  # as --help lists them  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `leuko`; those of the command line by default.

    Returns:
        The exit status: 0, or 1 if anything failed. Wrong options end the program with status 2.
    """
    return run_quietly(lambda: _run(arguments))


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    return _parser_and_commands()[0]


def _parser_and_commands() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(prog="leuko", description="Reads blood-smear images. Research use only.")
    parser.add_argument("--version", action=Version)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser, dict(subparsers.choices)


def _run(arguments: list[str] | None) -> int:
    parser, commands = _parser_and_commands()
    parsed = parser.parse_args(arguments)
    try:
        return parsed.run(parsed)
    except UsageError as error:
        commands[parsed.command].error(str(error))
    except ModuleNotFoundError as error:
        package = optional_packages.missing_package(error)
        if not package:
            raise
        print(optional_packages.needs(f"`leuko {parsed.command}`", package), file=sys.stderr)
        return 1
