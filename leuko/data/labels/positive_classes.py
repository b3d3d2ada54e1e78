"""Which class names mean leukaemia, which its absence, and which are unknown."""

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

NONE = "none"  # for `--positive`: no class means leukaemia
_SERIES = ({"early", "pre", "pro", "stage"}, {"L"}, {"M"})
_GENERIC = re.compile(r"blast|malign|cancer|le[uo][kc]|los", re.IGNORECASE)


@dataclass(frozen=True)
class ClassMeanings:
    """What the classes of a data set mean, in their order.

    Attributes:
        leukaemia: those that mean leukaemia.
        absence: those that mean that there is none.
        unknown: those that mean neither for certain.
        cells: whether all classes are kinds of cells, so that none is about a patient; they are `unknown` too.
    """

    leukaemia: tuple[str, ...]
    absence: tuple[str, ...]
    unknown: tuple[str, ...]
    cells: bool


def class_meanings(labels: Iterable[str]) -> ClassMeanings:
    """What classes mean by their names, each beside the others.

    Names that only mean leukaemia in some company need it: `all` and stages of B cells a class without leukaemia beside
    them, `Early`, `Pre`, `Pro` and the FAB types L1 to L3 and M0 to M7 one more of their kind as well.
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
    """Whether a class means `leukaemia`, its `absence`, or what is `unknown`, given all the classes."""
    sense = senses[label]
    if sense in ("leukaemia", "absence", "unknown"):
        return sense
    if sense == "cells":
        return "unknown"
    others = {other: s for other, s in senses.items() if other != label}
    if sense == "not all":  # what is no ALL may be another leukaemia, where those are known too
        other_leukaemia = any(s == "M" or (s == "leukaemia" and not _is_all(other)) for other, s in others.items())
        return "unknown" if other_leukaemia else "absence"
    healthy = any(s == "absence" or (s == "not all" and sense != "all") for s in others.values())
    if not healthy:
        return "unknown"
    if sense == "all":  # beside `blast`, it may be everything
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
    """Whether a class that means leukaemia means ALL, or blasts, and no other kind of leukaemia."""
    in_name = {word.casefold() for word in words(label)}
    return bool(
        in_name & {"all", "ball", "tall", "lymphoblastic", "lymphocytic", "blast", "blasts", "lymphoblast"}
    ) or bool(in_name & {"lymphoblasts", "malignant"})


def choose_positive(
    labels: Sequence[str], declared: Iterable[str] | None, counts: Mapping[str, int] | None = None
) -> tuple[str, ...]:
    """The classes that mean leukaemia: the declared ones, or those known by name if None.

    Args:
        labels: the class names.
        declared: names of classes, spelled as they are or nearly so; empty, or `none` alone: no class means leukaemia.
            All other classes then mean its absence.
        counts: images of each class, for the message.

    Raises:
        DataError: there is no such class, all classes mean leukaemia, or what some mean is not known for certain.
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
    """The classes that a user names as leukaemia; none for nothing, or for the word `none`.

    Raises:
        DataError: there is no such class.
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
    """What is known of the classes, what is not, and the `--positive` that would settle it; one line."""
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
    """One name for class names that differ in case, accents, Unicode form, spaces or hyphens alone.

    Args:
        labels: the label of every image.

    Returns:
        The name for each label, which is its commonest spelling; and a sentence for each class with several.
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
