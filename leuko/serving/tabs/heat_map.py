"""Where the network looked: the heat map of every class over the image; the browser blends them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.inference.classifier import NO_HEAT_MAP
from leuko.networks import grad_cam
from leuko.serving.analysis import Analysis
from leuko.serving.tabs import data_urls, decision_card
from leuko.serving.tabs.rendering import render, rendered

_SIDE = 128  # px of a heat map as sent: it has about 7 × 7 values, and the browser smooths it further


@dataclass(frozen=True)
class _Map:
    """The heat map of a class, as a `data:` address, and whether it is the one shown first."""

    name: str
    address: str
    shown: bool


def view(analysis: Analysis) -> str:
    """The image under a heat map for each class, with a choice of class and opacity and a line to compare."""
    class_bars = rendered(decision_card.class_bars(analysis.result))
    if not analysis.heat_maps:
        reason = NO_HEAT_MAP.format(name=analysis.finding.model["name"])
        return render("no_heat_map", reason=reason, class_bars=class_bars)
    picture = grad_cam.shrink(analysis.image)
    maps = [
        _Map(
            name=label if heat_map.max() > 0 else f"{label} (no evidence)",
            address=data_urls.png(_coloured(heat_map, picture.shape)),
            shown=label == analysis.first_class,
        )
        for label, heat_map in analysis.heat_maps.items()
    ]
    return render(
        "heat_map",
        ratio=picture.shape[1] / picture.shape[0],
        picture=data_urls.jpeg(picture),
        maps=maps,
        used=analysis.result.verdict.basis == "network",
        class_bars=class_bars,
    )


def _coloured(heat_map: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A heat map in colours, in the proportions of a picture of this shape."""
    height, width = (max(1, round(side * _SIDE / max(shape[:2]))) for side in shape[:2])
    values = (grad_cam.upsample(heat_map, height, width) * 255).astype(np.uint8)
    return cv2.applyColorMap(values, cv2.COLORMAP_CIVIDIS)[..., ::-1]
