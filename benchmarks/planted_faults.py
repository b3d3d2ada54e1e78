"""Measure recall and precision of cleaning on artificial faults.

    python -m benchmarks.planted_faults ../shared/data

Faults are added with fixed seeds to copies of real images in a temporary folder:

- broken files: truncated at a random position, empty or all zeros, text, or an image with the suffix of another format;
- near-duplicates: re-compressed, resized, cropped, mirrored, rotated, or made brighter or darker. A detected pair is
  correct if it was added, or if it is connected through pairs in the original images. The pairs in the original images
  are drawn on build/planted_faults/near_duplicates.png, so that a person can check them;
- wrong labels: 5 % of the labels are changed to a random other class.

Thresholds were chosen on images with odd row numbers, with seeds from 100. Near-duplicates and wrong labels use images
with even row numbers, with seeds 0 to 9. The embedded network was trained on Aria with the true labels, so label errors
in Aria that are found with its features give optimistic figures. Figures with features of an ImageNet
EfficientNet-Lite0 (build/efficientnet_lite0.safetensors, see scripts/write_imagenet_weights.py), and figures for PBC,
do not have this bias.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from leuko.data.cleaning.clean import Cleaning, inspect
from leuko.data.cleaning.label_issues import colours, label_errors
from leuko.data.image_table import ImageTable
from leuko.data.load import load
from leuko.evaluation.logits import predict
from leuko.networks import model_folder
from leuko.networks.backbones import create
from leuko.networks.preprocessing import Preprocessing

BUILD = Path("build")
BROKEN, COPIES, FLIPPED = 200, 300, 0.05
SEEDS = range(5)  # of flipped labels
CHANGES = ("JPEG quality 60", "resized to 80 %", "cropped by 5 %", "mirrored", "turned by 90°", "brightness ±10 %")


def main(data: Path) -> None:
    aria = load(str(data / "aria"))["train"]
    start = time.process_time()
    untouched = inspect(aria)
    seconds = time.process_time() - start
    sheet(aria, untouched)
    report = {
        "aria_as_it_is": {**as_it_is(untouched), "processor_seconds": round(seconds, 1)},
        "broken": broken(data),
        "near_duplicates": near_duplicates(aria, untouched),
        "wrong_labels": {
            f"{name}, features of {network}": wrong_labels(load(str(data / name))["train"], network, name)
            for name in ("pbc", "aria")
            for network in ("embedded", "imagenet")
        },
    }
    Path("benchmarks/results/planted_faults.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print("| planted | n | recall | precision |\n|---|---|---|---|")
    for name, part in (("broken files", report["broken"]), ("near-duplicates", report["near_duplicates"])):
        print(f"| {name} | {part['planted']} | {part['recall']:.3f} | {part['precision']:.3f} |")
    for name, part in report["wrong_labels"].items():
        print(f"| wrong labels, {name} | {part['planted']} | {part['recall']:.3f} | {part['precision']:.3f} |")
    print(json.dumps(report["aria_as_it_is"], indent=1))


def as_it_is(cleaning: Cleaning) -> dict[str, Any]:
    found = cleaning.duplicates
    return {
        "exact_pairs": sum(len(rows) * (len(rows) - 1) // 2 for rows in found.exact),
        "near_duplicate_sets": len(found.near),
        "images_in_them": sum(map(len, found.near)),
        "sets_with_other_than_exact_copies": len(set(found.near) - set(found.exact)),
        "findings": dict(Counter(issue.kind for issue in cleaning.issues)),
    }


def sheet(rows: ImageTable, cleaning: Cleaning, side: int = 160, columns: int = 6) -> None:
    """Every set of near-duplicates that is more than exact copies, two images each."""
    pairs = sorted(set(cleaning.duplicates.near) - set(cleaning.duplicates.exact))
    tiles = [
        np.hstack([cv2.resize(rows.open_image(r), (side, side)) for r in pair[:2]] + [np.zeros((side, 8, 3))])
        for pair in pairs
    ]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    (BUILD / "planted_faults").mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(lines).astype(np.uint8)).save(BUILD / "planted_faults" / "near_duplicates.png")


def broken(data: Path) -> dict[str, Any]:
    """Broken files among all of Aria and 750 images of the other sets."""
    rng = np.random.default_rng(0)
    files = sorted((data / "aria").rglob("*.jpg"))
    others = [
        f for pattern in ("pbc/*/*.jpg", "bccd/JPEGImages/*.jpg", "jtsc/*.bmp") for f in sorted(data.glob(pattern))
    ]
    spoilt = set(rng.permutation(len(files))[:BROKEN].tolist())
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary)
        for name in ("a", "b"):
            (target / name).mkdir()
        kinds = {}
        for i, file in enumerate(files):
            if i in spoilt:
                kind = ("truncated", "zeros", "text", "wrong suffix")[len(kinds) % 4]
                name, content = spoil(file.read_bytes(), kind, rng)
                (target / "a" / f"{i}{name}").write_bytes(content)
                kinds[f"{i}{name}"] = kind
            else:
                (target / "a" / f"{i}.jpg").symlink_to(file.resolve())
        for i in rng.permutation(len(others))[:750]:
            (target / "b" / f"other{i}{others[i].suffix}").symlink_to(others[i].resolve())
        found = [
            (Path(issue.file).name, issue.kind)
            for issue in inspect(load(str(target))["train"]).issues
            if "duplicate" not in issue.kind and issue.kind != "two-labels"
        ]
    right = {file for file, kind in found if file in kinds and kind in ("unreadable", "wrong-suffix")}
    false = {file for file, _ in found if file not in kinds}
    return {
        "planted": len(kinds),
        "healthy": len(files) - BROKEN + 750,
        "recall": len(right) / len(kinds),
        "precision": len(right) / len(right | false),
        "false": len(false),
        "found_by_kind": {k: f"{sum(kinds[f] == k for f in right)} of {n}" for k, n in Counter(kinds.values()).items()},
    }


def spoil(jpeg: bytes, kind: str, rng: np.random.Generator) -> tuple[str, bytes]:
    """Suffix and content of a broken version of a JPEG file."""
    if kind == "truncated":
        return ".jpg", jpeg[: rng.integers(1, len(jpeg))]
    if kind == "zeros":
        return ".jpg", b"" if rng.random() < 0.5 else bytes(len(jpeg))
    if kind == "text":
        return str(rng.choice([".jpg", ".png", ".tif"])), b"Patient 17, see the notes of Monday.\n" * rng.integers(
            1, 200
        )
    if rng.random() < 0.5:
        return str(rng.choice([".png", ".bmp", ".tif"])), jpeg
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(file, str(rng.choice(["PNG", "BMP", "TIFF"])))
    return ".jpg", file.getvalue()


def near_duplicates(rows: ImageTable, untouched: Cleaning) -> dict[str, Any]:
    """Changed copies among all of Aria."""
    rng = np.random.default_rng(1)
    chosen = rng.permutation(np.arange(0, len(rows), 2))[:COPIES]
    changes = [CHANGES[i % len(CHANGES)] for i in range(COPIES)]
    names = rows.class_names
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary)
        for name in names:
            (target / name).mkdir()
        home = {}  # row of the untouched data behind every file
        for row, (image, name) in enumerate(zip(rows.images, rows.label_names, strict=True)):
            file = target / name / f"{row}.jpg"
            file.symlink_to(image.resolve())
            home[file.name] = row
        for row, what in zip(chosen.tolist(), changes, strict=True):
            name = f"{row}_{CHANGES.index(what)}.jpg"
            image = Image.fromarray(change(rows.open_image(row), what, rng))
            image.save(target / names[rows.labels[row]] / name, quality=60 if what == CHANGES[0] else 95)
            home[name] = row
        planted = load(str(target))["train"]
        origin = np.array([home[Path(file).name] for file in planted.files])
        copy = np.array(["_" in Path(file).name for file in planted.files])
        found = inspect(planted).duplicates
    same = untouched.duplicates.picture[origin]
    pairs = [(a, b) for rows in found.near for a, b in combinations(rows, 2)]
    right = [same[a] == same[b] for a, b in pairs]
    new = [bool(copy[a] or copy[b]) for a, b in pairs]
    place = {int(origin[i]): i for i in np.flatnonzero(~copy)}
    hits = {what: [] for what in CHANGES}
    for i in np.flatnonzero(copy):
        what = CHANGES[int(Path(planted.files[int(i)]).stem.split("_")[1])]
        hits[what].append(found.picture[i] == found.picture[place[int(origin[i])]])
    return {
        "planted": COPIES,
        "among": len(rows),
        "recall": float(np.mean(np.concatenate(list(hits.values())))),
        "precision": float(np.mean([r for r, n in zip(right, new, strict=True) if n])),
        "false_pairs": int(np.sum(~np.array(right))),
        "found_by_change": {what: f"{sum(hit)} of {len(hit)}" for what, hit in hits.items()},
    }


def change(image: np.ndarray, what: str, rng: np.random.Generator) -> np.ndarray:
    side = np.array(image.shape[:2])
    if what == CHANGES[1]:
        image = cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    elif what == CHANGES[2]:
        size = np.rint(0.95 * side).astype(int)
        top, left = rng.integers(0, side - size + 1)
        image = image[top : top + size[0], left : left + size[1]]
    elif what == CHANGES[3]:
        image = np.flip(image, rng.integers(2))
    elif what == CHANGES[4]:
        image = np.rot90(image, rng.integers(1, 4))
    elif what == CHANGES[5]:
        image = np.clip(np.rint(image * rng.choice([0.9, 1.1])), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image)


def wrong_labels(rows: ImageTable, network: str, name: str) -> dict[str, Any]:
    """Flipped labels among the images with even row numbers: means over the seeds."""
    features, hues = features_of(rows, network, name)
    even = np.arange(0, len(rows), 2)
    truth, classes = rows.labels[even], len(rows.class_names)
    pictures = inspect(rows.select(even)).duplicates.picture
    recall, precision = [], []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        flipped = rng.permutation(len(even))[: round(FLIPPED * len(even))]
        labels = truth.copy()
        labels[flipped] = (labels[flipped] + rng.integers(1, classes, len(flipped))) % classes
        found = label_errors(features[even], hues[even], labels, pictures).rows
        right = len(np.intersect1d(found, flipped))
        recall.append(right / len(flipped))
        precision.append(right / max(len(found), 1))
    return {
        "planted": len(flipped),
        "among": len(even),
        "recall": float(np.mean(recall)),
        "precision": float(np.mean(precision)),
        "recall_by_seed": np.round(recall, 3).tolist(),
        "precision_by_seed": np.round(precision, 3).tolist(),
        "suspected_with_nothing_planted": len(label_errors(features[even], hues[even], truth, pictures).rows),
    }


def features_of(rows: ImageTable, network: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Deep features, kept under build/ from run to run, and colour histograms."""
    cache = BUILD / "planted_faults" / f"{network}_{name}.npy"
    if not cache.exists():
        if network == "embedded":
            model = model_folder.load()
            trunk, how = model.network, model.preprocessing
        else:
            trunk = create("efficientnet_lite0", 2, weights=str(BUILD / "efficientnet_lite0.safetensors")).eval()
            cfg = trunk.timm_model.pretrained_cfg
            how = Preprocessing((224, 224), "bicubic", tuple(cfg["mean"]), tuple(cfg["std"]))
        np.save(cache, predict(trunk, rows, how)[1])
    return np.load(cache), np.stack([colours(rows.open_image(row)) for row in range(len(rows))])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
