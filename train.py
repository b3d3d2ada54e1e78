"""Fine-tune a timm network on smear images and write a model folder: the same as `leuko train`."""

from __future__ import annotations

import sys

from leuko.cli.main import main as leuko


def main() -> int:
    """Run `leuko train` with the options of this command line."""
    return leuko(["train", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
