"""Which classes mean leukaemia."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from leuko.data.folders import DataError

_POSITIVE = {"all", "leukaemia", "leukemia", "leukemic", "leukaemic", "blast", "blasts", "lymphoblast", "lymphoblasts"}
_POSITIVE |= {"early", "pre", "pro", "malignant", "cancer", "l1", "l2", "l3"}
_NEGATIVE = {"healthy", "normal", "benign", "hem", "haematogone", "haematogones", "hematogone", "hematogones"}
_NEGATIVE |= {"control", "controls", "negative"}
_NOT = {"non", "no", "not", "without"}  # before a word of the first kind


def recognise_positive(labels: Iterable[str]) -> tuple[str, ...]:
    """The class names that mean leukaemia in the field's data sets (all, blast, early, pre, pro, malignant, …)."""
    return tuple(name for name in labels if _POSITIVE & _words(name) and not _NOT & _words(name))


def recognise_negative(labels: Iterable[str]) -> tuple[str, ...]:
    """The class names that mean no leukaemia (healthy, normal, benign, hem, control, …)."""
    return tuple(name for name in labels if (_NOT if _POSITIVE & _words(name) else _NEGATIVE) & _words(name))


def choose_positive(labels: Sequence[str], declared: Iterable[str] | None) -> tuple[str, ...]:
    """The declared classes, or those recognised by name if None.

    Raises:
        DataError: there is no such class, or all classes mean leukaemia.
    """
    positive = recognise_positive(labels) if declared is None else tuple(dict.fromkeys(declared))
    if unknown := [name for name in positive if name not in labels]:
        raise DataError(f"There is no class {unknown[0]!r}; the classes are {', '.join(labels)}.")
    if len(positive) == len(labels):
        raise DataError(f"All classes ({', '.join(labels)}) mean leukaemia; there is nothing to tell them from.")
    return positive


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))
