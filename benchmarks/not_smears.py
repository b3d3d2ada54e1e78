"""Classify pictures that are not smears with the embedded model.

python -m benchmarks.not_smears

The finding should be neither suspicious nor not suspicious for any of these pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from string import ascii_lowercase

import cv2
import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

from benchmarks.tissue import KINDS, Kind, section
from leuko.inference.classifier import Classifier

EACH = 40


def main() -> None:
    classifier = Classifier.load()
    kinds: dict[str, Callable[[np.random.Generator], Iterator[np.ndarray]]] = {
        "photographs": photographs,
        "text": text,
        "noise": noise,
        **{f"tissue: {kind.__name__}": tissue(kind) for kind in KINDS},
    }
    print("| pictures | n | uncertain | decisions |\n|---|---|---|---|")
    for name, draw in kinds.items():
        said = Counter(classifier.classify(image).decision for image in draw(np.random.default_rng(411)))
        print(f"| {name} | {said.total()} | {said['uncertain'] / said.total():.2f} | {dict(said)} |")


def photographs(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Parts of scikit-learn's two, of a building and a flower."""
    photos = load_sample_images().images
    for number in range(EACH):
        photo = photos[number % 2]
        side = int(rng.integers(224, 427))
        top, left = (int(rng.integers(length - side + 1)) for length in photo.shape[:2])
        yield np.ascontiguousarray(photo[top : top + side, left : left + side])


def text(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Lines of letters, dark on pale paper."""
    for _ in range(EACH):
        page = Image.new("RGB", (640, 480), tuple(rng.integers(200, 256, 3).tolist()))
        pen, ink = ImageDraw.Draw(page), tuple(rng.integers(0, 120, 3).tolist())
        for y in range(5, 470, 14):
            pen.text((5, y), "".join(rng.choice([*ascii_lowercase, *"    "], 100)), fill=ink)
        yield np.array(page)


def noise(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Coloured noise, from single pixels to blots of eight."""
    for number in range(EACH):
        grain = rng.standard_normal((300, 400, 3)).astype(np.float32)
        if size := (0, 1, 3, 8)[number % 4]:
            grain = cv2.GaussianBlur(grain, (0, 0), size)
        yield np.clip(128 + 50 * grain / grain.std(), 0, 255).astype(np.uint8)


def tissue(kind: Kind) -> Callable[[np.random.Generator], Iterator[np.ndarray]]:
    """Sections of tissue, all of a kind."""
    return lambda rng: (section(rng, kind) for _ in range(EACH))


if __name__ == "__main__":
    main()
