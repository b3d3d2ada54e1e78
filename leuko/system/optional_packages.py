"""Packages that the light installation leaves out, and the command that adds them."""

from __future__ import annotations

# Modules of the training installation by the usual names of their packages.
TRAINING_PACKAGES = {
    "accelerate": "accelerate",
    "datasets": "datasets",
    "imblearn": "imbalanced-learn",
    "onnxscript": "onnxscript",
    "optuna": "Optuna",
    "skl2onnx": "skl2onnx",
    "tensorboard": "TensorBoard",
    "timm": "timm",
    "torch": "PyTorch",
    "torchvision": "torchvision",
    "transformers": "transformers",
}
INSTALL_TRAIN = 'install it with `pip install "leuko[train]"` (in a checkout: `make install`)'


def needs(purpose: str, package: str) -> str:
    """The sentence that says which command adds a missing package.

    Args:
        purpose: what needs the package, as the beginning of the sentence.
        package: its usual name (`PyTorch`).
    """
    return f"{purpose} needs {package}, which is not installed; {INSTALL_TRAIN}."


def missing_package(error: ModuleNotFoundError) -> str | None:
    """The package of the training installation whose absence an import met; None: the error has another cause."""
    return TRAINING_PACKAGES.get((error.name or "").split(".")[0])
