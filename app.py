"""The Space: the same as `leuko serve`. LEUKO_MODEL names the model to serve (a folder or Hub id)."""

from __future__ import annotations

import sys

from leuko.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
