"""Measure the bias of random splits: compare the same models with random splits and with splits by group.

    python -m benchmarks.split_leak ../shared/data/aria

Features are from a frozen ImageNet EfficientNet-Lite0 that was not trained on smears, so that only the split differs.
The classifiers are a logistic regression and five nearest neighbours on these features, and five nearest neighbours on
colour statistics only. A random split has as many training and test images of each class as the grouped split with the
same seed, once from all images and once from one image of each picture. Results are written to
benchmarks/results/split_leak.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from leuko.data.cleaning.duplicates import Fingerprints
from leuko.data.image_table import ImageTable
from leuko.data.load import load
from leuko.data.splitting.groups import Groups, find_groups
from leuko.data.splitting.split import Split, class_shares_off, split_rows, verify
from leuko.evaluation.logits import predict
from leuko.evaluation.shortcut_audit import mean_interval
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.networks.backbones import create
from leuko.networks.preprocessing import Preprocessing

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "build" / "efficientnet_lite0.safetensors"
CACHE = ROOT / "build" / "split_leak.npz"
SEEDS = range(20)
SHARE_SEEDS = range(100)

MODELS = {  # title → (which features, classifier)
    "logistic head on deep features": ("deep", lambda: LogisticRegression(C=0.1, max_iter=2000)),
    "5-NN on deep features": ("deep", lambda: KNeighborsClassifier(5)),
    "5-NN on colour statistics alone": ("colours", lambda: KNeighborsClassifier(5)),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="the Aria images, one folder a class")
    rows = load(parser.parse_args().data)["train"]
    labels = rows.labels
    names = np.array(rows.class_names)[labels]
    seen = features(rows)
    groups = find_groups(names, colours=seen["colours"], pictures=seen["pictures"])

    figures: dict[str, dict[str, list[float]]] = {title: {} for title in MODELS}
    test_share = 0.0
    for seed in SEEDS:
        grouped = split_rows(names, groups, seed)
        verify(grouped, seen["pictures"])
        test_share += len(grouped.test) / len(grouped.train) / len(SEEDS)
        for kind, (train, test) in splits(grouped, labels, seen["pictures"], seed).items():
            for title, (view, classifier) in MODELS.items():
                f1 = macro_f1(classifier, seen[view], labels, train, test)
                figures[title].setdefault(kind, []).append(f1)
        print(f"seed {seed}: {figures['logistic head on deep features']['grouped'][-1]:.3f}", file=sys.stderr)

    result = {
        "images": len(labels),
        "seeds": len(SEEDS),
        "groups": groups.how,
        "series": [describe(s) for s in groups.series],
        "copies left out": int(groups.spare.sum()),
        "macro F1": {title: compare(kinds, test_share) for title, kinds in figures.items()},
        "random flatters": {
            title: {
                "mean": float(np.mean(kinds["random"]) - np.mean(kinds["grouped"])),
                "splits": int(np.greater(kinds["random"], kinds["grouped"]).sum()),
            }
            for title, kinds in figures.items()
        },
        "splits": shares(names, groups),
        "worst class share off with few patients, points": {n: few_patients(n) for n in (6, 10, 20, 40, 80)},
    }
    output = ROOT / "benchmarks" / "results" / "split_leak.json"
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(as_markdown(result))


def features(rows: ImageTable) -> dict[str, np.ndarray]:
    """Deep features, colour statistics and picture numbers of the rows; kept in build/ for the next time."""
    files = np.array(rows.files)
    if CACHE.exists():
        kept = dict(np.load(CACHE))
        if np.array_equal(kept["files"], files):
            return kept
    if not WEIGHTS.exists():
        subprocess.run([sys.executable, "-m", "scripts.write_imagenet_weights", str(WEIGHTS)], cwd=ROOT, check=True)
    prints, colours = Fingerprints(len(rows)), []
    for row in range(len(rows)):
        image = rows.open_image(row)
        prints.add(row, image)
        colours.append(colour_statistics(image))
    pictures = prints.find(rows.open_image).field
    network = create("efficientnet_lite0", 2, weights=str(WEIGHTS)).eval()
    normal = network.timm_model.pretrained_cfg
    how = Preprocessing((224, 224), "bicubic", tuple(normal["mean"]), tuple(normal["std"]))
    deep = predict(network, rows, how)[1]
    kept = {"files": files, "deep": deep, "colours": np.array(colours), "pictures": pictures}
    np.savez(CACHE, **kept)
    return kept


def splits(
    grouped: Split, labels: np.ndarray, pictures: np.ndarray, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of the three kinds of split, alike in their numbers of images of each class."""
    every = np.arange(len(labels))
    found = {}
    for kind, pool in (("random", every), ("random, no copies", every[pictures == every])):
        order = np.random.default_rng(seed).permutation(pool)
        train, test = [], []
        for label in np.unique(labels):
            own = order[labels[order] == label]
            tested, learnt = ((labels[part] == label).sum() for part in (grouped.test, grouped.train))
            test.append(own[:tested])
            train.append(own[tested : tested + learnt])
        found[kind] = (np.concatenate(train), np.concatenate(test))
    return found | {"grouped": (grouped.train, grouped.test)}


def macro_f1(classifier: Callable, view: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    model = make_pipeline(StandardScaler(), classifier()).fit(view[train], labels[train])
    return float(f1_score(labels[test], model.predict(view[test]), average="macro"))


def compare(kinds: dict[str, list[float]], test_share: float) -> dict[str, dict]:
    """Mean, interval of the mean and spread for each kind of split."""
    return {
        kind: mean_interval(values, test_share) | {"sd": float(np.std(values, ddof=1)), "values": values}
        for kind, values in kinds.items()
    }


def describe(series) -> dict:  # noqa: ANN001
    return {
        "class": series.label,
        "images": len(series.rows),
        "period": series.period,
        "reach": series.reach,
        "blocks": series.count,
        "block": series.block,
        "gap": series.gap,
        "autocorrelation at the period, and 1, 2, 3 blocks away": [
            round(float(series.autocorrelation[lag - 1]), 3)
            for lag in (series.period, *(series.block * i // series.period * series.period for i in (1, 2, 3)))
        ],
    }


def shares(names: np.ndarray, groups: Groups) -> dict[str, float]:
    """How near the parts come to the whole, at worst over many seeds."""
    made = [split_rows(names, groups, seed) for seed in SHARE_SEEDS]
    mean = {part: float(np.mean([len(getattr(s, part)) for s in made])) for part in ("train", "validation", "test")}
    off = [class_shares_off(split, names) for split in made]
    return {
        "seeds": len(made),
        "worst class share off, points": max(off),
        "mean class share off, points": float(np.mean(off)),
        **{f"{part} images, mean": number for part, number in mean.items()},
        "left out, mean": len(names) - sum(mean.values()),
    }


def few_patients(count: int) -> float:
    """The worst class share over many seeds where 3,000 images of two classes come from a few patients.

    The patients are made up: each has one class; their numbers of images are log-normal (two thirds of them within a
    factor of two of the median).
    """
    off = []
    for seed in SHARE_SEEDS:
        rng = np.random.default_rng(seed)
        size = rng.lognormal(0, 0.7, count)
        patient = rng.choice(count, 3000, p=size / size.sum())
        ill = patient % 2
        off.append(class_shares_off(split_rows(ill, find_groups(ill, given=patient.astype(str)), seed), ill))
    return max(off)


def as_markdown(result: dict) -> str:
    lines = [f"{result['images']} images; {result['groups']}.", ""]
    lines += [
        "| class | images | origins in turn | reach | blocks | files each | gap |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = ("class", "images", "period", "reach", "blocks", "block", "gap")
    lines += ["| " + " | ".join(str(s[key]) for key in keys) + " |" for s in result["series"]]
    kinds = list(next(iter(result["macro F1"].values())))
    lines += ["", f"| macro F1, mean over {result['seeds']} splits (95 % interval) | " + " | ".join(kinds) + " |"]
    lines += ["|---" * (len(kinds) + 1) + "|"]
    for title, found in result["macro F1"].items():
        cells = [f"{f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})" for f in found.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += [""]
    for title, by in result["random flatters"].items():
        lines.append(
            f"{title}: random above grouped by {by['mean']:.3f}, in {by['splits']} of {result['seeds']} splits"
        )
    lines += ["", *(f"{what}: {value:.2f}" for what, value in result["splits"].items())]
    few = result["worst class share off with few patients, points"]
    lines += ["worst class share off by number of patients: " + ", ".join(f"{n}: {off:.1f}" for n, off in few.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
