"""`python -m leuko COMMAND`: the same as `leuko COMMAND`."""

from __future__ import annotations

import sys

from leuko.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
