"""Packages that the light installation leaves out, and the command that adds them."""

from __future__ import annotations

INSTALL_TRAIN = 'install it with `pip install "leuko[train]"` (in a checkout: `make install`)'


def needs(purpose: str, package: str) -> str:
    """The sentence that says which command adds a missing package.

    Args:
        purpose: what needs the package, as the beginning of the sentence.
        package: its usual name (`PyTorch`).
    """
    return f"{purpose} needs {package}, which is not installed; {INSTALL_TRAIN}."
