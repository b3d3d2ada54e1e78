"""Measure adaptation of the embedded model to other laboratories, with as few as ten labelled fields per class.

    python -m benchmarks.adapting ../shared/data            # random draws: fit on some blocks of fields, test on others
    python -m benchmarks.adapting ../shared/data --time     # time of the command on 2592 × 1944 images; cached epochs

Laboratory 1 is simulated: Aria fields with another stain, scale, aspect ratio, camera noise and compression. The
model's own trunk was trained on most of these fields (unchanged), so its figures are too optimistic. The general trunk
was not. Laboratory 2 is PBC, lymphocytes against immature granulocytes: single cells that neither trunk was trained on.
Features are cached in build/adapting. Results are written to benchmarks/results/adapting.json.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks.feature_cache import cached, digest_of
from leuko.adaptation.adapt import adapt
from leuko.adaptation.candidate_backbones import candidates, input_enlargement
from leuko.adaptation.cross_validation import choose_recipe, cross_validate
from leuko.adaptation.frozen_features import compute_features
from leuko.adaptation.head_fitting import fit_head
from leuko.adaptation.training_set import MAX_INPUTS
from leuko.data.cleaning.duplicates import Fingerprints
from leuko.data.load import load
from leuko.data.splitting.groups import Groups, find_groups
from leuko.data.splitting.split import split_rows
from leuko.evaluation.shortcut_audit import colour_baseline
from leuko.images import scale_bar
from leuko.images.decode import decode
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.networks import model_folder

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "build" / "adapting"
COUNTS = 5, 10, 20  # labelled images a class
DRAWS = 10
ESTIMATED = 3  # of the draws, at ten a class, whose own cross-validated estimate is compared with the truth
POOL = 40  # images of each class that labelled ones are drawn from: those of which views are computed
SEEN_VIEWS = 2  # fewer than `adapt` has time for where there are few images
EVERY = 8  # of the Aria files, to save time
NAMES = ("not", "positive")


@dataclass(frozen=True)
class Laboratory:
    """What is known of one laboratory's images: features by trunk, N × (1 + views) × D; views of the pool alone."""

    title: str
    plain: list[np.ndarray]
    viewed: list[np.ndarray]
    pool: np.ndarray
    truth: np.ndarray
    colours: np.ndarray
    draw: Callable[[int], tuple[np.ndarray, np.ndarray]]  # seed → rows that may be labelled, and rows of the test


def foreign(image: np.ndarray, seed: int) -> np.ndarray:
    """A field as another laboratory might show it: cells at 60 % of their size, 4:3, restained, noisy, compressed."""
    mix = np.eye(3) + np.random.default_rng(7).uniform(-0.12, 0.12, (3, 3))
    image = cv2.resize(scale_bar.remove(image), (269, 269), interpolation=cv2.INTER_CUBIC)
    rows, columns = (448 * 3 // 4 - 269), (448 - 269)
    edges = rows // 2, rows - rows // 2, columns // 2, columns - columns // 2
    image = cv2.copyMakeBorder(image, *edges, cv2.BORDER_REFLECT_101)
    density = np.maximum(-np.log(np.maximum(image, 1) / 255) @ mix.T * (0.8, 1.3, 1.05), 0)
    noise = np.random.default_rng(seed).normal(0, 6, image.shape)
    data = io.BytesIO()
    Image.fromarray(np.clip(255 * np.exp(-density) + noise, 0, 255).astype(np.uint8)).save(data, "JPEG", quality=60)
    return decode(data.getvalue())


def aria(data: Path) -> Laboratory:
    rows = load(str(data / "aria"))["train"]
    names = np.array(rows.label_names)
    originals = [rows.open_image(row) for row in range(len(rows))]
    prints = Fingerprints(len(rows))
    for number, image in enumerate(originals):
        prints.add(number, image)
    groups = find_groups(
        names,
        colours=np.stack([colour_statistics(image) for image in originals]),
        pictures=prints.find(lambda number: originals[number]).field,
    )
    some = np.arange(2, len(rows), EVERY)
    images = [foreign(originals[row], int(row)) for row in some]

    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        split = split_rows(names, groups, seed)
        tested = np.concatenate([split.test, split.validation])
        return np.flatnonzero(np.isin(some, split.train)), np.flatnonzero(np.isin(some, tested))

    return look("Aria, made foreign", images, (names[some] != "Benign").astype(int), draw)


def pbc(data: Path) -> Laboratory:
    files = [sorted((data / "pbc" / name).iterdir())[:80] for name in ("lymphocyte", "ig")]
    truth = np.repeat([0, 1], [len(part) for part in files])
    every = np.arange(len(truth))

    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.random.default_rng(seed).permutation(every)
        return chosen[: len(every) // 2], chosen[len(every) // 2 :]

    return look("PBC, lymphocyte against ig", [decode(file) for part in files for file in part], truth, draw)


def look(title: str, images: list[np.ndarray], truth: np.ndarray, draw: Callable) -> Laboratory:
    base = model_folder.load()
    trunks = candidates(base, input_enlargement(images.__getitem__, len(images), base, 0))
    rng = np.random.default_rng(0)
    pool = np.concatenate([rng.permutation(np.flatnonzero(truth == c))[:POOL] for c in (0, 1)])
    data = digest_of(image.tobytes() for image in images)
    plain, viewed = [], []
    for trunk in trunks:
        key = f"{data} {trunk.files.version} {trunk.preprocessing!r}"
        plain.append(
            cached(CACHE, f"{key} plain", lambda t=trunk: compute_features([t], images.__getitem__, len(images))[0])
        )
        some = [images[row] for row in pool]
        viewed.append(
            cached(
                CACHE,
                f"{key} {SEEN_VIEWS} views of {pool.tolist()}",
                lambda t=trunk, some=some: compute_features([t], some.__getitem__, len(some), views=SEEN_VIEWS)[0],
            )
        )
        print(f"{title}: {trunk.preprocessing.size[0]} pixels", flush=True)
    colours = np.stack([colour_statistics(image) for image in images])
    return Laboratory(title, plain, viewed, pool, truth, colours, draw)


def measure(laboratory: Laboratory, count: int, seed: int, *, estimated: bool) -> dict[str, float]:
    """One draw: adapted to `count` labelled images a class, tested on the others."""
    free, tested = laboratory.draw(seed)
    truth, place = laboratory.truth, {row: number for number, row in enumerate(laboratory.pool)}
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [rng.permutation([r for r in np.sort(free) if r in place and truth[r] == c])[:count] for c in (0, 1)]
    )
    views = min(SEEN_VIEWS, MAX_INPUTS // len(rows) - 1)
    seen = [each[[place[row] for row in rows]][:, : 1 + views] for each in laboratory.viewed]
    labels = truth[rows]
    recipe = choose_recipe(seen, labels, np.arange(len(rows)), 0)
    found = {"trunk": recipe.trunk}
    for name, trunk in {"": recipe.trunk, **{f"trunk {t}: ": t for t in range(len(seen))}}.items():
        logits = fit_head(seen[trunk], labels, 2, recipe.inverse_regularization).head(
            laboratory.plain[trunk][tested, 0]
        )
        right = logits.argmax(axis=1) == truth[tested]
        found[f"{name}auc"] = float(roc_auc_score(truth[tested], logits[:, 1] - logits[:, 0]))
        found[f"{name}accuracy"] = float(right.mean())
        found[f"{name}balanced"] = float(np.mean([right[truth[tested] == c].mean() for c in (0, 1)]))
    colours = laboratory.colours
    found["colours"] = colour_baseline(colours[rows], labels, colours[tested], truth[tested])["accuracy"]
    if estimated:
        groups = Groups(np.arange(len(rows)), np.zeros(len(rows), bool), (), "")
        told = cross_validate(seen, labels, colours[rows], groups, NAMES, NAMES[1:], 0).figures
        found |= {"told": told["accuracy"]["value"], "low": told["accuracy"]["low"], "high": told["accuracy"]["high"]}
    return found


def draws(data: Path) -> None:
    result = {}
    for build in (pbc, aria):
        laboratory = build(data)
        print(f"\n{laboratory.title} ({len(laboratory.truth)} images)\n")
        print("| a class | AUC-ROC | accuracy | balanced | colours alone | trunk chosen | AUC by trunk |")
        print("|---|---|---|---|---|---|---|")
        for count in COUNTS:
            found = [
                measure(laboratory, count, 100 + seed, estimated=count == 10 and seed < ESTIMATED)
                for seed in range(DRAWS)
            ]
            result[f"{laboratory.title}, {count} a class"] = found
            cells = [
                f"{np.mean([f[k] for f in found]):.3f} ± {np.std([f[k] for f in found], ddof=1):.3f}"
                for k in ("auc", "accuracy", "balanced", "colours")
            ]
            chosen = np.bincount([f["trunk"] for f in found], minlength=len(laboratory.plain)).tolist()
            each = [f"{np.mean([f[f'trunk {t}: auc'] for f in found]):.3f}" for t in range(len(laboratory.plain))]
            print(f"| {count} | {' | '.join(cells)} | {chosen} | {' / '.join(each)} |", flush=True)
        told = [f for f in result[f"{laboratory.title}, 10 a class"] if "told" in f]
        within = sum(f["low"] <= f["balanced"] <= f["high"] for f in told)
        print(
            f"\nEstimated at 10 a class: {np.mean([f['told'] for f in told]):.3f}, true (balanced): "
            f"{np.mean([f['balanced'] for f in told]):.3f}; within the 95 % interval in {within} of {len(told)} draws."
        )
    output = ROOT / "benchmarks" / "results" / "adapting.json"
    output.parent.mkdir(exist_ok=True)
    short = {name: [{k: round(v, 4) for k, v in draw.items()} for draw in found] for name, found in result.items()}
    output.write_text(json.dumps(short, indent=1) + "\n")


def times(data: Path) -> None:
    """Processor seconds beside those of the clock, since other work may share the machine."""
    with tempfile.TemporaryDirectory() as place:
        for name, source in {"benign": "Benign", "blasts": "Pre"}.items():
            some = sorted((data / "aria" / source).iterdir())
            (Path(place) / "laboratory" / name).mkdir(parents=True)
            for number, file in enumerate(some[20:420:40]):
                image = cv2.resize(foreign(decode(file), number), (2592, 1944), interpolation=cv2.INTER_CUBIC)
                Image.fromarray(image).save(Path(place) / "laboratory" / name / f"{number}.jpg", quality=92)
        clock, processor = time.perf_counter(), time.process_time()
        adapt(str(Path(place) / "laboratory"), Path(place) / "model")
        print(f"adapt: {time.perf_counter() - clock:.0f} s, {time.process_time() - processor:.0f} processor s")

    trunk = candidates(model_folder.load(), None)[0]
    images = [decode(file) for file in sorted((data / "aria" / "Pre").iterdir())[:64]]
    seen = compute_features([trunk], images.__getitem__, len(images))[0]
    labels = np.arange(len(images)) % 2
    pixels = np.random.default_rng(0).standard_normal((16, 3, *trunk.preprocessing.size), np.float32)
    processor = time.process_time()
    for _ in range(0, len(images), 16):
        trunk.runtime.features(pixels)
    through = time.process_time() - processor
    processor = time.process_time()
    fitted = fit_head(seen, labels, 2, 300.0)
    cached = (time.process_time() - processor) / fitted.iterations
    print(
        f"An epoch over {len(images)} images: {1000 * through:.0f} processor ms through the frozen trunk, "
        f"{1000 * cached:.2f} on cached features: {through / cached:.0f} times."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--time", action="store_true")
    chosen = parser.parse_args()
    (times if chosen.time else draws)(chosen.data)


if __name__ == "__main__":
    main()
