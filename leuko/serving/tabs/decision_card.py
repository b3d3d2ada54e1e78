"""The decision as a card: in words first, then the figures behind it, then what speaks for and against them."""

from __future__ import annotations

import html
import json

from leuko.decision.cell_score import CLEAR_ODDS
from leuko.decision.fusion import Verdict, percent
from leuko.images.decode import MAX_BYTES, MAX_PIXELS
from leuko.inference.classifier import ClassificationResult, Finding
from leuko.serving.analysis import advice, model_name

_SHAPES = {"suspicious": "▲", "not suspicious": "●", "uncertain": "◆"}  # so that no decision is told by colour alone
_POINTS = {"network": "▲", "cells": "▼"}
_CARD = """\
<section class="card verdict {tone}"{file}>
<p class="eyebrow">{above}</p>
<h2><span class="shape" aria-hidden="true">{shape}</span> {title}</h2>
{seen}<p class="next">{advice}</p>
{body}
</section>"""


_WELCOME = """\
<h3>What you get</h3><ul>
<li>A decision in words: suspicious, not suspicious or uncertain, with its reasons and what to do next.</li>
<li>Where the network looked.</li>
<li>The cells: numbered, measured, counted, and those that look like blasts first.</li></ul>
<h3>What fits</h3><ul>
<li>A field of stained blood or marrow, in focus, with red cells around the white ones; or a single cell.</li>
<li>JPEG, PNG, TIFF, BMP, WebP, GIF, HEIC, AVIF, JPEG 2000 or DICOM, up to {size} MB and {pixels} megapixels.</li></ul>
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
    return _card(html.escape(name), "This file cannot be judged", html.escape(reason), "none", shape="✕", file=name)


def decision(reading: ClassificationResult, name: str, what: str) -> str:
    """The card of an image that was judged.

    Args:
        reading: of the image.
        name: of the file; may hold anything.
        what: the image shows, in a word or two.
    """
    finding, verdict = reading.finding, reading.verdict
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in finding.reasons if finding.quality.usable)
    facts = _facts(finding, verdict)
    body = (
        f"{_scale(verdict)}"
        f'<dl class="facts">{"".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())}</dl>'
        f'<h3>Checks</h3><ul class="checks">{"".join(_checks(finding, verdict))}</ul>'
        f"{f'<h3>Why</h3><ul>{reasons}</ul>' if reasons else ''}"
    )
    above = f"{html.escape(name)} · {what}"
    return _card(
        above, verdict.title, html.escape(advice(finding)), finding.decision, body, seen=verdict.cell_summary, file=name
    )


def confidence(finding: Finding, verdict: Verdict) -> str:
    """How far the decision can be relied on, in words and without a figure: two that agree are better than one."""
    if not finding.quality.usable:
        return "none, as the picture is not fit to be judged"
    if finding.decision == "uncertain":
        return "none, as there is no decision"
    if verdict.basis == "cells":
        return "low: by the cells alone; the network does not know such images"
    if verdict.cells and verdict.cells.decision == finding.decision:
        return "higher: network and cells say the same"
    if verdict.cells and verdict.cells.close_up:
        return "limited: by the network alone, of a close-up"
    return "limited: by the network alone; the cells leave it open"


def bars(reading: ClassificationResult) -> str:
    """The network's probability of every class, most probable first; not where its answer does not count."""
    finding, title = reading.finding, "<h3>Pattern, by the network alone</h3>"
    if reading.verdict.basis != "network":
        why = {
            True: "Network and cells do not agree, so the pattern is not shown.",
            False: "The network does not know such images: its pattern does not count and is not shown.",
        }[finding.in_distribution]
        why = "" if reading.verdict.network is None and finding.in_distribution else why
        if why:
            return f"{title}<p>{why}</p>"
    ordered = sorted(finding.probabilities.items(), key=lambda pair: -pair[1])
    rows = "".join(
        f'<li><span class="name">{html.escape(name)}</span>'
        f'<span class="bar" aria-hidden="true"><span style="width:{100 * p:.1f}%"></span></span>'
        f'<span class="value">{percent(p)}</span></li>'
        for name, p in ordered
    )
    return f'{title}<ul class="bars">{rows}</ul>'


def raw(finding: Finding, name: str) -> str:
    """The finding as programs get it, folded away."""
    text = html.escape(json.dumps(finding.as_json(name), indent=2, ensure_ascii=False), quote=False)
    return f'<details class="card"><summary>The finding as JSON</summary><pre tabindex="0">{text}</pre></details>'


def _facts(finding: Finding, verdict: Verdict) -> dict[str, str]:
    model = html.escape(model_name(finding.model))
    if not finding.quality.usable:
        return {"Leukaemia probability": "not given", "Confidence": confidence(finding, verdict), "Model": model}
    probability = "not settled"
    if finding.decision != "uncertain" and finding.leukaemia_probability is not None:
        probability = f"<strong>{percent(finding.leukaemia_probability)}</strong>"
    facts = {
        "Leukaemia probability": probability,
        "Confidence": confidence(finding, verdict),
        "The network says": _said_by_network(verdict),
        "The cells say": "nothing" if finding.evidence["cells"] is None else percent(finding.evidence["cells"]),
    }
    if finding.pattern:
        likely = percent(finding.probabilities[finding.pattern])
        facts["Pattern"] = f"{html.escape(finding.pattern)} ({likely}, by the network)"
    return {**facts, "Model": model}


def _said_by_network(verdict: Verdict) -> str:
    if verdict.network is None:
        return "nothing: none of its classes is known to mean leukaemia"
    return "nothing that counts: it does not know such images" if verdict.ood_reason else percent(verdict.network)


def _checks(finding: Finding, verdict: Verdict) -> list[str]:
    fit = finding.quality
    good = f"fit to be judged, but: {' '.join(fit.warnings)}" if fit.warnings else "fit to be judged"
    checks = [_check("Picture quality", fit.usable and not fit.warnings, good, " ".join(fit.issues) or good)]
    if fit.usable:
        ood_reason = f"no, unlike them ({verdict.ood_reason})"
        checks.append(_check("Like the training images", finding.in_distribution, "yes", ood_reason))
    return checks


def _check(name: str, passed: bool, good: str, bad: str) -> str:
    mark, kind = ("✓", "good") if passed else ("!", "bad")
    return (
        f'<li class="{kind}"><span class="mark" aria-hidden="true">{mark}</span> '
        f"<span><strong>{name}:</strong> {html.escape(good if passed else bad)}</span></li>"
    )


def _scale(verdict: Verdict) -> str:
    """Where network and cells stand between 0 and 100 %, and what is too close to call; empty if neither counts."""
    low, high = (1 / (1 + CLEAR_ODDS), CLEAR_ODDS / (1 + CLEAR_ODDS)) if verdict.ood_reason else verdict.point.abstain
    points = {
        "network": None if verdict.ood_reason else verdict.network,
        "cells": verdict.cells.probability if verdict.cells else None,
    }
    if verdict.issues or not any(p is not None for p in points.values()):
        return ""
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


def _card(
    above: str,
    title: str,
    advice: str,
    tone: str = "uncertain",
    body: str = "",
    shape: str = "",
    seen: str = "",
    file: str = "",
) -> str:
    return _CARD.format(
        above=above,
        file=f' data-file="{html.escape(file)}"' if file else "",
        title=html.escape(title),
        seen=f'<p class="seen">{html.escape(seen)}</p>\n' if seen else "",
        advice=advice,
        tone=tone.replace(" ", "-"),
        body=body,
        shape=shape or _SHAPES[tone],
    )
