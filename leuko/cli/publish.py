"""`leuko publish`: push to the Hugging Face Hub."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leuko.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command, its kinds of repositories and their options."""
    parser = subparsers.add_parser("publish", help="push to the Hugging Face Hub")
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    model = kinds.add_parser("model", help="push a model folder in one commit")
    model.add_argument("folder", type=Path, help="model folder as train.py writes it")
    model.add_argument("repo", metavar="USER/NAME", help="created as a public repository if it does not exist")
    model.add_argument("--force", action="store_true", help="also publish a model that has warnings")
    model.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Push the model folder and print its address."""
    from leuko.hub import model_repository

    try:
        address = model_repository.publish_model(arguments.folder, arguments.repo, arguments.force)
    except model_repository.HubError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Published: {address}")
    return 0
