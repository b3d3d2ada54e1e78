"""Check whether the width and height of an image predict its class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

SIGNIFICANCE = 0.01
SHOWN_SIZES = 3


def size_leak(sizes: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> str | None:
    """A warning if image sizes predict classes better than the majority class does (binomial test); else None.

    The predicted class of an image is the most frequent class among the other images of the same size.

    Args:
        sizes: N strings.
        labels: int, N.
        class_names: class names, in the order of the label numbers.
    """
    counts = {size: np.bincount(labels[sizes == size], minlength=len(class_names)) for size in np.unique(sizes)}
    correct = 0
    for size, label in zip(sizes, labels, strict=True):
        others = counts[size].copy()
        others[label] -= 1
        correct += int(others.any() and others.argmax() == label)
    largest_class = np.bincount(labels).max() / len(labels)
    if len(counts) == 1 or binomtest(correct, len(labels), largest_class, "greater").pvalue > SIGNIFICANCE:
        return None
    commonest = sorted(counts, key=lambda size: -counts[size].sum())[:SHOWN_SIZES]
    shown = "; ".join(
        f"{size}: " + ", ".join(f"{n} {name}" for name, n in zip(class_names, counts[size], strict=True) if n)
        for size in commonest
    )
    return (
        f"The image size predicts the class of {correct / len(labels):.0%} of the images ({shown}). Classes seem to "
        "come from different cameras or exports, and the figures may reflect that. Use images of all classes from one "
        "camera."
    )
