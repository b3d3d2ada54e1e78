"""The decision as a card: first in words, then the numbers behind it, then its reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from leuko.decision.cell_score import CLEAR_ODDS
from leuko.decision.fusion import Verdict, percent
from leuko.images.decode import MAX_BYTES, MAX_PIXELS
from leuko.inference.classifier import ClassificationResult
from leuko.inference.finding import Finding
from leuko.serving.analysis import model_name
from leuko.serving.tabs.rendering import Fact, render

SHAPES = {"suspicious": "▲", "not suspicious": "●", "uncertain": "◆"}  # no decision is told by colour alone


@dataclass(frozen=True)
class _Check:
    name: str
    passed: bool
    text: str


@dataclass(frozen=True)
class _Point:
    """A probability on the scale: by `name`, drawn as `mark` and read aloud as `spoken`."""

    name: str
    mark: str
    spoken: str
    probability: float


@dataclass(frozen=True)
class _Scale:
    """Probabilities of leukaemia from 0 to 1; between `low` and `high` there is no decision."""

    points: tuple[_Point, ...]
    low: float
    high: float


def welcome() -> str:
    """The card before the first image."""
    return render(
        "welcome_card",
        tone="none",
        shape="○",
        above="Result",
        title="No image yet",
        advice="Upload a smear image, or choose one of the examples.",
        megabytes=MAX_BYTES // 1024**2,
        megapixels=MAX_PIXELS // 10**6,
    )


def refused(reason: str, name: str) -> str:
    """The card of a file that cannot be used; `name` is the file's."""
    title = "This file cannot be analysed"
    return render("card", tone="none", shape="✕", above=name, file=name, title=title, advice=reason)


def decision(result: ClassificationResult, name: str, content: str) -> str:
    """The card of an image.

    Args:
        result: for the image.
        name: of the file; any text.
        content: what the image shows, in a word or two.
    """
    finding, verdict = result.finding, result.verdict
    return render(
        "decision_card",
        tone=finding.decision.replace(" ", "-"),
        shape=SHAPES[finding.decision],
        above=f"{name} · {content}",
        file=name,
        title=verdict.title,
        summary=verdict.cell_summary,
        advice=advice(finding),
        scale=scale(verdict),
        facts=list(_facts(finding, verdict)),
        checks=list(_checks(finding, verdict)),
        reasons=finding.reasons if finding.quality.usable else (),
    )


def advice(finding: Finding) -> str:
    """What to do next, in one sentence."""
    if not finding.quality.usable:
        return "See below what is wrong with the image, and upload a better one."
    if finding.leukaemia_probability is None:
        return "Use a model with a class that means leukaemia; --positive names it when a model is trained or adapted."
    if finding.decision == "suspicious":
        return "Refer: have the slide read by an expert."
    if finding.decision == "not suspicious":
        return "This does not exclude leukaemia or any other disease."
    if not finding.in_distribution:
        return "Do not rely on this answer; upload further fields of the slide, or have it read by an expert."
    return "Upload further fields of the slide, or have it read by an expert."


def confidence(finding: Finding, verdict: Verdict) -> str:
    """How reliable the decision is, in words: two methods that agree are more reliable than one."""
    if not finding.quality.usable:
        return "none: the image quality is too low"
    if finding.decision == "uncertain":
        return "none: there is no decision"
    if verdict.basis == "cells":
        return "low: by the cells alone; the image is out of distribution for the network"
    if verdict.cells and verdict.cells.decision == finding.decision:
        return "higher: network and cells agree"
    if verdict.cells and verdict.cells.close_up:
        return "limited: by the network alone; the image is a close-up"
    return "limited: by the network alone; the cell-based score is inconclusive"


def class_bars(result: ClassificationResult) -> str:
    """The network's probability of each class, most probable first, or why they are not shown."""
    finding, verdict = result.finding, result.verdict
    why_not = ""
    if verdict.basis != "network":
        if not finding.in_distribution:
            why_not = "Out of distribution: the network's pattern was not used and is not shown."
        elif verdict.network is not None:
            why_not = "Network and cells do not agree, so the pattern is not shown."
    classes = sorted(finding.probabilities.items(), key=lambda pair: -pair[1])
    return render("class_bars", why_not=why_not, classes=classes)


def finding_json(finding: Finding, name: str) -> str:
    """The finding as programs get it, folded away."""
    return render("finding_json", text=json.dumps(finding.as_json(name), indent=2, ensure_ascii=False))


def _facts(finding: Finding, verdict: Verdict) -> Iterator[Fact]:
    reliability = Fact("Confidence", confidence(finding, verdict))
    model = Fact("Model", model_name(finding.model))
    if not finding.quality.usable:
        yield from (Fact("Leukaemia probability", "not given"), reliability, model)
        return
    yield probability_fact(verdict)
    yield reliability
    yield from evidence_facts(verdict)
    if finding.pattern:
        yield Fact("Pattern", f"{finding.pattern} ({percent(finding.probabilities[finding.pattern])}, by the network)")
    yield model


def probability_fact(verdict: Verdict) -> Fact:
    """The probability of leukaemia, given only with a decision."""
    if verdict.decision == "uncertain" or verdict.probability is None:
        return Fact("Leukaemia probability", "no decision")
    return Fact("Leukaemia probability", strong=percent(verdict.probability))


def evidence_facts(verdict: Verdict) -> Iterator[Fact]:
    """The probabilities by network and by cells."""
    yield Fact("By the network", _network_probability(verdict))
    cells = verdict.cells.probability if verdict.cells else None
    yield Fact("By the cells", "no cell-based score" if cells is None else percent(cells))


def _network_probability(verdict: Verdict) -> str:
    if verdict.network is None:
        return "not given: none of its classes is known to mean leukaemia"
    return "not used: out of distribution" if verdict.ood_reason else percent(verdict.network)


def _checks(finding: Finding, verdict: Verdict) -> Iterator[_Check]:
    quality = finding.quality
    good = f"sufficient, but: {' '.join(quality.warnings)}" if quality.warnings else "sufficient"
    yield _Check("Picture quality", quality.usable and not quality.warnings, " ".join(quality.issues) or good)
    if quality.usable:
        similar = "yes" if finding.in_distribution else f"no, out of distribution ({verdict.ood_reason})"
        yield _Check("Like the training images", finding.in_distribution, similar)


def scale(verdict: Verdict) -> _Scale | None:
    """The probabilities by network and cells that are used; None if there are none."""
    points = []
    if verdict.network is not None and not verdict.ood_reason:
        points.append(_Point("network", "▲", "by the network", verdict.network))
    if verdict.cells and verdict.cells.probability is not None:
        points.append(_Point("cells", "▼", "by the cells", verdict.cells.probability))
    if verdict.issues or not points:
        return None
    if verdict.ood_reason:  # the cells decide, by their own bounds
        return _Scale(tuple(points), 1 / (1 + CLEAR_ODDS), CLEAR_ODDS / (1 + CLEAR_ODDS))
    return _Scale(tuple(points), *verdict.point.abstain)
