"""Decide which class names mean leukaemia, which mean no leukaemia, and which are unknown."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leuko.data.errors import DataError
from leuko.data.labels.class_name_words import Sense, sense_of
from leuko.data.labels.filename_conventions import name_key, shortlist, words

NONE = "none"  # value of `--positive`: no class means leukaemia
_SERIES = ({"early", "pre", "pro", "stage"}, {"L"}, {"M"})
_GENERIC = re.compile(r"blast|malign|cancer|le[uo][kc]|los", re.IGNORECASE)


@dataclass(frozen=True)
class ClassMeanings:
    """The meanings of the classes of a data set; each attribute keeps the order of the classes.

    Attributes:
        leukaemia: classes that mean leukaemia.
        absence: classes that mean no leukaemia.
        unknown: classes whose meaning is not certain.
        cells: whether all classes are kinds of cells, so that no class describes a patient; all are then `unknown`.
    """

    leukaemia: tuple[str, ...]
    absence: tuple[str, ...]
    unknown: tuple[str, ...]
    cells: bool


def class_meanings(labels: Iterable[str]) -> ClassMeanings:
    """The meanings of classes by their names, with regard to the other classes.

    Some names mean leukaemia only together with other classes. `all` and stages of B cells need a class that means no
    leukaemia. `Early`, `Pre`, `Pro` and the FAB types L1 to L3 and M0 to M7 also need a second class of their kind.
    """
    labels = list(dict.fromkeys(labels))
    numbered = all(re.match(r"\d+[\W_]*[^\W\d_]", label) for label in labels)
    senses = {label: sense_of(label, numbered) for label in labels}
    meanings = {label: _beside(label, senses) for label in labels}
    return ClassMeanings(
        tuple(label for label in labels if meanings[label] == "leukaemia"),
        tuple(label for label in labels if meanings[label] == "absence"),
        tuple(label for label in labels if meanings[label] == "unknown"),
        bool(labels) and all(sense == "cells" for sense in senses.values()),
    )


def _beside(label: str, senses: Mapping[str, Sense]) -> str:
    """The meaning of a class, given all classes: `leukaemia`, `absence` or `unknown`."""
    sense = senses[label]
    if sense in ("leukaemia", "absence", "unknown"):
        return sense
    if sense == "cells":
        return "unknown"
    others = {other: s for other, s in senses.items() if other != label}
    if sense == "not all":  # "not ALL" may be another leukaemia if the data have such a class
        other_leukaemia = any(s == "M" or (s == "leukaemia" and not _is_all(other)) for other, s in others.items())
        return "unknown" if other_leukaemia else "absence"
    healthy = any(s == "absence" or (s == "not all" and sense != "all") for s in others.values())
    if not healthy:
        return "unknown"
    if sense == "all":  # together with a class `blast`, it may mean all cells
        return (
            "unknown"
            if any(s == "leukaemia" and _GENERIC.search(other) for other, s in others.items())
            else "leukaemia"
        )
    if sense == "stage":
        return "leukaemia"
    series = next(kinds for kinds in _SERIES if sense in kinds)
    return "leukaemia" if any(s in series for s in others.values()) else "unknown"


def _is_all(label: str) -> bool:
    """Whether a class that means leukaemia means ALL or blasts, and not another kind of leukaemia."""
    in_name = {word.casefold() for word in words(label)}
    return bool(
        in_name & {"all", "ball", "tall", "lymphoblastic", "lymphocytic", "blast", "blasts", "lymphoblast"}
    ) or bool(in_name & {"lymphoblasts", "malignant"})


def choose_positive(
    labels: Sequence[str], declared: Iterable[str] | None, counts: Mapping[str, int] | None = None
) -> tuple[str, ...]:
    """The classes that mean leukaemia: the declared classes, or if None, the classes known by their names.

    Args:
        labels: the class names.
        declared: names of classes; small differences in spelling are accepted. All other classes then mean no
            leukaemia. If empty, or only `none`, no class means leukaemia.
        counts: number of images of each class, for the message.

    Raises:
        DataError: a declared class does not exist, all classes mean leukaemia, or the meaning of a class is uncertain.
    """
    if declared is None:
        meanings = class_meanings(labels)
        if meanings.unknown and not meanings.cells:
            raise DataError(positive_question(labels, counts))
        positive = meanings.leukaemia
    else:
        positive = declared_classes(labels, declared)
    if len(positive) == len(labels):
        raise DataError(
            f"All classes ({', '.join(labels)}) mean leukaemia; there is nothing to tell them from. Add images without "
            "leukaemia, or name the classes that are to be found with --positive; the others then count as none."
        )
    return positive


def declared_classes(labels: Sequence[str], declared: Iterable[str]) -> tuple[str, ...]:
    """The classes that a user declares as leukaemia; empty if `declared` is empty or the word `none`.

    Raises:
        DataError: a declared class does not exist.
    """
    wanted = [name.strip() for name in declared]
    near = {name_key(label): label for label in labels}
    if len(wanted) == 1 and wanted[0].casefold() == NONE and NONE not in near:
        return ()
    chosen = []
    for name in wanted:
        label = name if name in labels else near.get(name_key(name))
        if label is None:
            raise DataError(f"There is no class {name!r}; the classes are {', '.join(labels)}.")
        chosen.append(label)
    return tuple(dict.fromkeys(chosen))


def positive_question(labels: Sequence[str], counts: Mapping[str, int] | None = None) -> str:
    """One line: which meanings are known, which are not, and the `--positive` option that would define them."""
    meanings = class_meanings(labels)
    unknown = [f"{name} ({counts[name]} images)" if counts else name for name in meanings.unknown]
    sentences = [f"It is not known for certain whether these classes mean leukaemia: {', '.join(unknown)}."]
    for what, names in (("leukaemia", meanings.leukaemia), ("no leukaemia", meanings.absence)):
        if names:
            sentences.append(f"Known to mean {what}: {', '.join(names)}.")
    with_all = [label for label in labels if label in meanings.leukaemia or label in meanings.unknown]
    choices = []
    if len(with_all) < len(labels):
        choices.append((with_all, "if they all do"))
    elif len(meanings.leukaemia) + 1 < len(labels):
        choices += [([*meanings.leukaemia, name], f"if {name} does") for name in meanings.unknown[:3]]
    choices.append((list(meanings.leukaemia) or [NONE], "if none of them does"))
    sentences.append("Name all classes that mean leukaemia; the others then mean that there is none:")
    sentences.append("; ".join(f"{shlex.join(['--positive', *names])} ({when})" for names, when in choices) + ".")
    return " ".join(sentences)


def describe_positive(labels: Sequence[str], positive: Sequence[str]) -> str:
    """One line: which classes count as leukaemia and which do not."""
    rest = [label for label in labels if label not in positive]
    if not positive:
        return f"No class means leukaemia: {', '.join(rest)}."
    return f"Leukaemia: {', '.join(positive)}; no leukaemia: {', '.join(rest) or 'no class'}."


def unify_class_names(labels: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Choose one name for class names that differ only in case, accents, Unicode form, spaces or hyphens.

    Args:
        labels: the label of every image.

    Returns:
        The name for each label (the most frequent spelling), and a sentence for each class with several spellings.
    """
    spellings: dict[str, Counter[str]] = {}
    for label, count in Counter(labels).items():
        spellings.setdefault(name_key(label), Counter())[label] += count
    name_of: dict[str, str] = {}
    sentences = []
    for of_one in spellings.values():
        name = unicodedata.normalize("NFC", min(of_one, key=lambda label: (-of_one[label], label)).strip())
        name_of |= dict.fromkeys(of_one, name)
        if len(of_one) > 1:
            written = shortlist((f"{label!r} ({count} images)" for label, count in sorted(of_one.items())), 5)
            sentences.append(f"One class is written in {len(of_one)} ways, and is called {name}: {written}.")
    return name_of, sentences
