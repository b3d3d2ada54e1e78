"""Evaluate the embedded model where train.py does not: without scale bars, and on data of other laboratories.

python -m benchmarks.embedded_checks ../shared/data
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score

from benchmarks.recipe import learnt
from leuko.images import scale_bar
from leuko.images.decode import decode
from leuko.inference.classifier import Classifier

PBC_EVERY = 10


def main(data: Path) -> None:
    classifier = Classifier.load()
    rows, split = learnt(data)
    test = rows.select(split.test)
    images, truth = [test.open_image(row) for row in range(len(test))], test.labels
    rng = np.random.default_rng(0)
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as they are": lambda image: image,
        "scale bar removed": scale_bar.remove,
        "scale bar of another style, anywhere": lambda image: scale_bar.burn(scale_bar.remove(image), rng),
    }
    print(f"| {len(images)} test images of the embedded default | accuracy | F1 (macro) |\n|---|---|---|")
    for name, change in changes.items():
        answer = np.array([classifier.index(classifier.classify(change(image)).label) for image in images])
        print(f"| {name} | {np.mean(answer == truth):.3f} | {f1_score(truth, answer, average='macro'):.3f} |")

    folders = {"BCCD fields (healthy, another laboratory)": sorted((data / "bccd" / "JPEGImages").iterdir())}
    for kind in sorted((data / "pbc").iterdir()):
        folders[f"PBC {kind.name} (single normal cells)"] = sorted(kind.iterdir())[::PBC_EVERY]
    print("\n| images from elsewhere | n | suspicious | not suspicious | uncertain | unlike the training images |")
    print("|---|---|---|---|---|---|")
    for name, files in folders.items():
        found = [classifier.classify(decode(file)) for file in files]
        said = Counter(finding.decision for finding in found)
        unlike = sum(not finding.in_distribution for finding in found)
        counts = [said[decision] for decision in ("suspicious", "not suspicious", "uncertain")]
        print(f"| {name} | {len(files)} | {' | '.join(map(str, counts))} | {unlike} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
