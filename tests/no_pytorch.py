"""Runs Python code where PyTorch and what needs it cannot be imported, as in the light installation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "torchvision", "timm", "transformers", "datasets", "accelerate", "onnxscript", "skl2onnx")
BLOCK = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked by the test)", name=name)

sys.meta_path.insert(0, Blocked())
"""


def run_without_pytorch(code: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run code, from the repository's root, in a process that has none of `HEAVY`."""
    command = [sys.executable, "-c", BLOCK + code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
