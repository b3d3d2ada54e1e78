"""`leuko evaluate`: all metrics of a model on a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from leuko.cli.options import Subparsers, add_group_column, add_output, add_stain_references


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("evaluate", help="measure a model on a data set; writes plots and a report")
    parser.add_argument("model", metavar="M", help="model folder, Hub id (USER/NAME), or: embedded")
    parser.add_argument(
        "data", metavar="D", help="image folder or Hub id; of the data the model learnt from, the test part is used"
    )
    add_output(parser, "folder for the results")
    parser.add_argument("--split", type=Path, metavar="FILE", help="split.json whose test part is used")
    add_group_column(parser)
    parser.add_argument(
        "--positive", nargs="*", metavar="CLASS", help="classes of D that mean leukaemia: evaluate as two classes"
    )
    parser.add_argument("--robustness", action="store_true", help="also on corrupted images (30 times the work)")
    parser.add_argument("--shortcuts", action="store_true", help="also on parts of images and on other stains")
    add_stain_references(parser, "images of other stains for --shortcuts")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate the model, print its metrics and the path of the report."""
    from leuko.evaluation.evaluate import EvaluationRequest
    from leuko.reports import tables
    from leuko.reports.evaluation.write import write_evaluation

    request = EvaluationRequest(
        model=arguments.model,
        data=arguments.data,
        split=arguments.split,
        group_column=arguments.group_column,
        positive=None if arguments.positive is None else tuple(arguments.positive),
        robustness=arguments.robustness,
        shortcuts=arguments.shortcuts,
        stain_references=tuple(arguments.stain_references),
    )
    report = write_evaluation(request, arguments.output)
    for text in (
        *report["data"]["description"],
        tables.as_text(report),
        tables.summary(report),
        f"{report['intervals']}.",
    ):
        print(f"{text}\n")
    print(f"The evaluation is in {arguments.output / 'report.html'}; open it in a browser.")
    return 0
