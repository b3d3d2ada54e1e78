"""Measure how many smears are refused because of their quality, unchanged and at other brightness levels.

    python -m benchmarks.refusals ../shared/data [--every N]

Every refused smear is a false refusal. `light` is the factor that all pixels are multiplied by, clipped at 255. The
thresholds of `leuko.images.quality.assessment` were chosen on a part of these images, so the table shows the fit and
not the performance on other data. Pictures that are not smears, and artificially damaged smears, should be refused.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.not_smears import noise, photographs, text
from leuko.images.decode import decode
from leuko.images.quality.assessment import assess
from leuko.stats.proportions import wilson_interval
from leuko.system.threads import in_order

FOLDERS = ("aria", "pbc", "bccd", "jtsc", "raabin", "chula", "jhu", "cnmc", "phone_and_thin")
LIGHTS = (1.0, 0.6, 0.8, 1.2, 1.4)
SPOILT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "dark: light × 0.2": lambda image: (image * 0.2).astype(np.uint8),
    "inverted": lambda image: 255 - image,
    "grey": lambda image: np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2),
    "blurred: sigma 4 % of the side": lambda image: cv2.GaussianBlur(image, (0, 0), 0.04 * min(image.shape[:2])),
}


def main(data: Path, every: int) -> None:
    lit: dict[str, dict[float, Counter[str]]] = {}
    spoilt = {name: Counter() for name in SPOILT}
    for folder in FOLDERS:
        lit[folder] = {light: Counter() for light in LIGHTS}
        for number, (by_light, by_fault) in enumerate(in_order(_judge, smears(data / folder, every))):
            for light, kind in by_light.items():
                lit[folder][light][kind] += 1
            for fault, kind in by_fault.items() if number % 10 == 0 and folder != "cnmc" else ():
                spoilt[fault][kind] += 1
    lit["all"] = {light: sum((lit[folder][light] for folder in FOLDERS), Counter()) for light in LIGHTS}
    print("| smears of | light | n | refused | 95 % interval | kinds | with a warning |\n|---|---|---|---|---|---|---|")
    for folder, lights in lit.items():
        for light, said in {**lights, "any": sum(lights.values(), Counter())}.items():
            _row(f"{folder} | {light}", said)
    print("\n| no smears | n | refused | 95 % interval | kinds | with a warning |\n|---|---|---|---|---|---|")
    for name, draw in {"photographs": photographs, "text": text, "noise": noise}.items():
        _row(name, Counter(_kind(image) for image in draw(np.random.default_rng(411))))
    for name, said in spoilt.items():
        _row(f"smears, {name}", said)


def smears(folder: Path, every: int) -> Iterator[Path]:
    """The smears of one folder of the development images, every so many of them; no masks."""
    masks = {".png"} if folder.name == "jtsc" else set()
    files = sorted(file for file in folder.rglob("*") if file.suffix in {".jpg", ".bmp", ".png"} - masks)
    yield from [file for file in files if "mask" not in str(file.relative_to(folder))][::every]


def _judge(file: Path) -> tuple[dict[float, str], dict[str, str]]:
    image = decode(file)
    by_light = {light: _kind(np.clip(np.rint(image * np.float32(light)), 0, 255).astype(np.uint8)) for light in LIGHTS}
    return by_light, {name: _kind(spoil(image)) for name, spoil in SPOILT.items()}


def _kind(image: np.ndarray) -> str:
    """The first issue of an image; else `warned` or nothing."""
    verdict = assess(image)
    return next(iter(verdict.issues_by_kind), "warned" if verdict.warnings else "")


def _row(name: str, said: Counter[str]) -> None:
    n, warned = said.total(), said["warned"]
    refused = n - said[""] - warned
    low, high = wilson_interval(refused, n)
    kinds = ", ".join(f"{count} {kind}" for kind, count in said.most_common() if kind not in ("", "warned"))
    print(f"| {name} | {n} | {refused / n:.2%} | {low:.2%} to {high:.2%} | {kinds or '–'} | {warned} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1)
    arguments = parser.parse_args()
    main(arguments.data, arguments.every)
