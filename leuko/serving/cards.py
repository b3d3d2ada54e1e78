"""The decision as a card: in words first, then the figures behind it, then what speaks for and against them."""

from __future__ import annotations

import html
import json

from leuko.cells.evidence import CLEAR_ODDS
from leuko.images.decode import MAX_BYTES, MAX_PIXELS
from leuko.models.classifier import Finding, Reading
from leuko.models.verdict import Verdict, percent
from leuko.serving.analysis import headline

_SHAPES = {"suspicious": "▲", "not suspicious": "●", "uncertain": "◆"}  # so that no decision is told by colour alone
_POINTS = {"network": "▲", "cells": "▼"}
_CARD = """\
<section class="card verdict {tone}">
<p class="eyebrow">{above}</p>
<h2><span class="shape" aria-hidden="true">{shape}</span> {title}</h2>
<p class="next">{advice}</p>
{body}
</section>"""


_WELCOME = """\
<h3>What you get</h3><ul>
<li>A decision in words: suspicious, not suspicious or uncertain, with its reasons and what to do next.</li>
<li>Where the network looked.</li>
<li>The cells: numbered, measured, counted, and those that look like blasts first.</li></ul>
<h3>What fits</h3><ul>
<li>A field of stained blood or marrow, in focus, with red cells around the white ones; or a single cell.</li>
<li>JPEG, PNG, TIFF, BMP, WebP or GIF, up to {size} MB and {pixels} megapixels.</li></ul>
<h3>What it does not do</h3><ul>
<li>Other leukaemias: every answer concerns acute lymphoblastic leukaemia (ALL) alone.</li>
<li>Weigh age, blood count or any other finding about a person.</li></ul>"""


def empty() -> str:
    """Before the first image."""
    welcome = _WELCOME.format(size=MAX_BYTES // 1024**2, pixels=MAX_PIXELS // 10**6)
    advice = "Upload a smear image, or choose one of the examples."
    return _card("Result", "No image yet", advice, "none", welcome, shape="○")


def refused(reason: str, name: str) -> str:
    """Where a file cannot be used; its name may hold anything."""
    return _card(html.escape(name), "This file cannot be judged", html.escape(reason), "none", shape="✕")


def decision(reading: Reading, name: str, what: str) -> str:
    """The card of an image that was judged.

    Args:
        reading: of the image.
        name: of the file; may hold anything.
        what: the image shows, in a word or two.
    """
    finding = reading.finding
    title, advice = headline(finding)
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in finding.reasons if finding.quality.usable)
    facts = _facts(finding, reading.verdict)
    body = (
        f"{_scale(reading.verdict) if finding.quality.usable and reading.verdict.network is not None else ''}"
        f'<dl class="facts">{"".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())}</dl>'
        f'<h3>Checks</h3><ul class="checks">{"".join(_checks(finding, reading.verdict))}</ul>'
        f"{f'<h3>Why</h3><ul>{reasons}</ul>' if reasons else ''}"
    )
    above = f"{html.escape(name)} · {what}"
    return _card(above, title, html.escape(advice), finding.decision, body)


def confidence(finding: Finding, verdict: Verdict) -> str:
    """How far the decision can be relied on, in words: two that agree are better than one."""
    if not finding.quality.usable:
        return "none, as the picture is not fit to be judged"
    cells = verdict.cells.decision if verdict.cells else "uncertain"
    if finding.decision == "uncertain":
        return "none, as there is no decision"
    probability = finding.leukaemia_probability
    sure = percent(max(probability, 1 - probability))
    if verdict.strange:
        return f"low ({sure}): by the cells alone; the network does not know such images"
    if cells == finding.decision:
        return f"higher ({sure}): network and cells say the same"
    return f"limited ({sure}): by the network alone; the cells leave it open"


def bars(finding: Finding) -> str:
    """The network's probability of every class, most probable first."""
    ordered = sorted(finding.probabilities.items(), key=lambda pair: -pair[1])
    rows = "".join(
        f'<li><span class="name">{html.escape(name)}</span>'
        f'<span class="bar" aria-hidden="true"><span style="width:{100 * p:.1f}%"></span></span>'
        f'<span class="value">{percent(p)}</span></li>'
        for name, p in ordered
    )
    note = "" if finding.in_distribution else "<p>The network does not know such images: do not rely on these.</p>"
    return f'<h3>Pattern, by the network alone</h3>{note}<ul class="bars">{rows}</ul>'


def raw(finding: Finding, name: str) -> str:
    """The finding as programs get it, folded away."""
    text = html.escape(json.dumps(finding.as_json(name), indent=2, ensure_ascii=False), quote=False)
    return f'<details class="card"><summary>The finding as JSON</summary><pre tabindex="0">{text}</pre></details>'


def _facts(finding: Finding, verdict: Verdict) -> dict[str, str]:
    if not finding.quality.usable:
        return {"Leukaemia probability": "not given", "Confidence": confidence(finding, verdict)}
    said = {name: "nothing" if p is None else percent(p) for name, p in finding.evidence.items()}
    settled = f"<strong>{percent(finding.leukaemia_probability)}</strong>"
    return {
        "Leukaemia probability": "not settled" if finding.decision == "uncertain" else settled,
        "Confidence": confidence(finding, verdict),
        "The network says": said["network"] + (", which does not count here" if verdict.strange else ""),
        "The cells say": said["cells"],
        "Pattern": f"{html.escape(finding.label)} ({percent(finding.probabilities[finding.label])}, by the network)",
    }


def _checks(finding: Finding, verdict: Verdict) -> list[str]:
    checks = [_check("Picture quality", finding.quality.usable, "fit to be judged", " ".join(finding.quality.issues))]
    if finding.quality.usable:
        strange = f"no, unlike them ({verdict.strange})"
        checks.append(_check("Like the training images", finding.in_distribution, "yes", strange))
    return checks


def _check(name: str, passed: bool, good: str, bad: str) -> str:
    mark, kind = ("✓", "good") if passed else ("!", "bad")
    return (
        f'<li class="{kind}"><span class="mark" aria-hidden="true">{mark}</span> '
        f"<span><strong>{name}:</strong> {html.escape(good if passed else bad)}</span></li>"
    )


def _scale(verdict: Verdict) -> str:
    """Where network and cells stand between 0 and 100 %, and what is too close to call."""
    low, high = (1 / (1 + CLEAR_ODDS), CLEAR_ODDS / (1 + CLEAR_ODDS)) if verdict.strange else verdict.point.abstain
    points = {"network": verdict.network, "cells": verdict.cells.probability if verdict.cells else None}
    spoken = ", ".join(f"the {who} {percent(p)}" for who, p in points.items() if p is not None)
    marks = "".join(
        f'<span class="point {who}" style="left:{100 * p:.1f}%">{_POINTS[who]}</span>'
        for who, p in points.items()
        if p is not None
    )
    key = "".join(f"<span>{_POINTS[who]} {who}</span>" for who, p in points.items() if p is not None)
    return (
        f'<div class="scale" role="img" aria-label="Probability of leukaemia: {spoken}. Between {percent(low)} and '
        f'{percent(high)} it is too close to call.">'
        f'<div class="track"><span class="open" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></span>'
        f"{marks}</div>"
        f'<div class="ends"><span>not suspicious</span><span>too close to call</span><span>suspicious</span></div>'
        f'<div class="key">{key}</div></div>'
    )


def _card(above: str, title: str, advice: str, tone: str = "uncertain", body: str = "", shape: str = "") -> str:
    return _CARD.format(
        above=above, title=title, advice=advice, tone=tone.replace(" ", "-"), body=body, shape=shape or _SHAPES[tone]
    )
