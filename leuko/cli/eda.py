"""`leuko eda`: a report on a data set."""

from __future__ import annotations

import argparse

from leuko.cli.options import Subparsers, add_group_column, add_output


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("eda", help="write a report on a data set (exploratory data analysis)")
    parser.add_argument("sources", nargs="+", metavar="D", help="image folders or Hub ids (USER/NAME)")
    add_output(parser, "folder for the report")
    parser.add_argument("--model", help="model folder or Hub id whose features are plotted (default: embedded model)")
    add_group_column(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the report and print its path."""
    from leuko.reports.eda.data_report import write_data_report

    page = write_data_report(
        arguments.sources, arguments.output, model=arguments.model, group_column=arguments.group_column
    )
    print(f"The report is in {page}; open it in a browser.")
    return 0
