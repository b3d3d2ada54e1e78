"""Kinds of options on the command line; argparse puts what they say behind the option's name."""

from __future__ import annotations

import argparse
import platform
from argparse import ArgumentTypeError
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from leuko import __version__

_PACKAGES = ("gradio", "torch", "timm", "transformers", "datasets", "onnxruntime", "opencv-python-headless", "pillow")


class Version(argparse.Action):
    """Prints the version of Deep Leuko and of what answers depend on, and ends."""

    def __init__(self, option_strings: list[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="print versions and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print, and end the program."""
        lines = [f"Deep Leuko {__version__}", f"Python {platform.python_version()}"]
        for package in _PACKAGES:
            try:
                lines.append(f"{package} {version(package)}")
            except PackageNotFoundError:
                lines.append(f"{package} is not installed")
        print("\n".join(lines), flush=True)
        parser.exit()


def whole(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return value
