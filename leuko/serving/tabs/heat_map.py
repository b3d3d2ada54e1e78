"""Where the network looked: the heat map of every class over the image, mixed in the browser."""

from __future__ import annotations

import html

import cv2
import numpy as np

from leuko.inference.classifier import NO_HEAT_MAP
from leuko.networks import grad_cam
from leuko.serving.analysis import Analysis
from leuko.serving.tabs import data_urls, decision_card

_SIDE = 128  # px of a heat map as sent; it has 7 × 7 values or so, and the browser smooths it further

_VIEW = """\
<section class="card heat" id="overlay">
<h2>Where the network looked</h2>
<div class="two">
<div>
<div class="stage" style="--ratio:{ratio:.4f}">
<img src="{picture}" alt="The uploaded image">
{maps}
<span class="divider" aria-hidden="true"></span>
<input class="compare" type="range" min="0" max="100" value="50" aria-label="Compare: how much of the image is shown \
without the heat map, from the left, in percent">
</div>
<p class="hint">Drag the line to compare: the image lies on its left, the heat map on its right.</p>
</div>
<div>
<form class="controls">
<fieldset><legend>Evidence for</legend>{choices}</fieldset>
<label class="slider">Opacity <input class="opacity" type="range" min="0" max="100" step="5" value="60"></label>
<div class="ramp"><span>nothing</span><span class="colours" aria-hidden="true"></span><span>most</span></div>
<button type="button" class="save">Save this picture</button>
</form>
<p class="hint">Grad-CAM shows roughly what moved the network's answer for a class. It outlines nothing.{counts}</p>
{bars}
</div>
</div>
</section>"""

_NONE = """\
<section class="card" id="overlay">
<h2>The classes</h2>
<p class="hint">{why}</p>
{bars}
</section>"""


def view(analysis: Analysis) -> str:
    """The image with a heat map for each class, a choice of class, of opacity, and a line to compare by."""
    if not analysis.heat_maps:
        why = NO_HEAT_MAP.format(name=analysis.finding.model["name"])
        return _NONE.format(why=html.escape(why), bars=decision_card.bars(analysis.reading))
    picture = grad_cam.shrink(analysis.image)
    counts = analysis.reading.verdict.basis == "network"
    chosen = analysis.first
    maps, choices = [], []
    for number, (label, heat) in enumerate(analysis.heat_maps.items()):
        name, state = html.escape(label), "checked" if label == chosen else ""
        silent = "" if heat.max() > 0 else " (nothing speaks for it)"
        maps.append(
            f'<img class="map{" shown" if state else ""}" src="{data_urls.png(_coloured(heat, picture.shape))}" '
            f'alt="Heat map for {name}{silent}">'
        )
        choices.append(f'<label><input type="radio" name="class" value="{number}" {state}> {name}{silent}</label>')
    return _VIEW.format(
        ratio=picture.shape[1] / picture.shape[0],
        picture=data_urls.jpeg(picture),
        maps="".join(maps),
        choices="".join(choices),
        bars=decision_card.bars(analysis.reading),
        counts="" if counts else " The network's answer does not count here, so the map explains no part of it.",
    )


def _coloured(heat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    height, width = (max(1, round(side * _SIDE / max(shape[:2]))) for side in shape[:2])
    values = (grad_cam.upsample(heat, height, width) * 255).astype(np.uint8)
    return cv2.applyColorMap(values, cv2.COLORMAP_CIVIDIS)[..., ::-1]
