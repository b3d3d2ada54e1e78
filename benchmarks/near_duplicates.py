"""Measure recall and false positives of near-duplicate detection among thousands of images.

    python -m benchmarks.near_duplicates ../shared/data [FOLDER …]

Overlapping fields, rotated copies and crops are added with a fixed seed to the images of seven folders, or of the given
folders. All images are compared with each other in one set. Half of the modified images are also re-compressed,
resized, mirrored, rotated by 90°, or changed in brightness or white balance. The constants of the detector were chosen
on even-numbered files of Aria and BCCD. This benchmark uses their odd-numbered files, and other folders.

The original images also contain overlaps. A detected pair that was not added is a false positive if its images are from
different folders or classes, or if a person labelled it as false (`FALSE`). build/near_duplicates/found.png shows these
pairs.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from leuko.data.cleaning.duplicates import Duplicates, Fingerprints
from leuko.images.decode import decode
from leuko.stats.proportions import wilson_interval

FOLDERS = {  # pattern of the files, every how many of them (from the second on), planted of each kind
    "aria": ("*/*.jpg", 2, 40),
    "bccd": ("JPEGImages/*.jpg", 2, 25),
    "pbc": ("*/*.jpg", 1, 40),
    "raabin": ("images/*.jpg", 1, 40),
    "chula": ("*/*.jpg", 1, 9),
    "jhu": ("*/*.jpg", 1, 16),
    "jtsc": ("*.bmp", 1, 20),
}
KINDS = ("overlap", "turned by 15°", "turned by 45°", "turned by any angle", "cropped to 80 %", "cropped to 60 %")
OVERLAP = (0.4, 0.85)  # of the area, of two fields that overlap
FALSE: tuple[tuple[str, str], ...] = ()  # pairs of files
RESULTS = Path(__file__).parent / "results" / "near_duplicates.json"
SHEET = Path("build") / "near_duplicates" / "found.png"
_SHOWN = 80  # pairs on the sheet


class Item(NamedTuple):
    """An image of the set: the file it comes from, whether it is a planted copy, and its bytes (JPEG)."""

    file: Path
    planted: bool
    data: bytes


class Plant(NamedTuple):
    """A planted pair: its kind, its folder, and the numbers of its items."""

    kind: str
    folder: str
    first: int
    second: int


def main(data: Path, folders: list[str]) -> None:
    items, plants = planted(data, folders)
    began = time.process_time()
    prints = Fingerprints(len(items))
    for row, item in enumerate(items):
        prints.add(row, decode(item.data))
    read = time.process_time()
    found = prints.find(lambda row: decode(items[row].data))
    seconds = {"adding": round(read - began, 1), "finding": round(time.process_time() - read, 1)}
    report = {"images": len(items), "processor_seconds": seconds, **figures(data, items, plants, found)}
    reports = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    reports[" + ".join(folders)] = report
    RESULTS.write_text(json.dumps(reports, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for part in ("by_kind", "by_folder"):
        print("| planted | found | 95 % interval |\n|---|---|---|")
        for name, share in report[part].items():
            print(f"| {name} | {share['found']} of {share['planted']} | {share['interval']} |")
    print({key: value for key, value in report.items() if not key.startswith("by_") and key != "pairs"})


def planted(data: Path, folders: list[str]) -> tuple[list[Item], list[Plant]]:
    """All images of the set, and the pairs planted among them."""
    rng = np.random.default_rng(0)
    items: list[Item] = []
    plants = []
    for folder in folders:
        pattern, step, number = FOLDERS[folder]
        files = sorted((data / folder).glob(pattern))[step - 1 :: step]
        chosen = rng.permutation(len(files))[: number * len(KINDS)].tolist()
        kinds = {row: KINDS[place % len(KINDS)] for place, row in enumerate(chosen)}
        for row, file in enumerate(files):
            image = decode(file.read_bytes())
            if row not in kinds:
                items.append(Item(file, False, jpeg(image)))
                continue
            first, second = pair(image, kinds[row], rng)
            plants.append(Plant(kinds[row], folder, len(items), len(items) + 1))
            items += [Item(file, False, jpeg(first)), Item(file, True, jpeg(changed(second, rng)))]
    return items, plants


def pair(image: np.ndarray, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image and its near-duplicate; of a pair that overlaps, both are windows of the image."""
    if kind == "overlap":
        return windows(image, rng)
    if kind.startswith("turned"):
        angle = {KINDS[1]: 15, KINDS[2]: 45}.get(kind) or rng.uniform(5, 85)
        return image, turned(image, angle * rng.choice([-1, 1]), rng)
    size = np.array(image.shape[:2])
    part = (size * (0.8 if kind == KINDS[4] else 0.6)).astype(int)
    top, left = rng.integers(0, size - part + 1)
    crop = image[top : top + part[0], left : left + part[1]]
    return image, cv2.resize(crop, size[::-1].tolist(), interpolation=cv2.INTER_CUBIC) if rng.random() < 0.5 else crop


def windows(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two windows of an image, one as large as the other, that share a part (`OVERLAP`) of their area."""
    size = np.array(image.shape[:2])
    window = (size * rng.uniform(0.6, 0.75)).astype(int)
    while True:
        corners = rng.integers(0, size - window + 1, (2, 2))
        share = np.prod(1 - np.abs(corners[1] - corners[0]) / window)
        if OVERLAP[0] <= share <= OVERLAP[1]:
            first, second = (image[y : y + window[0], x : x + window[1]] for y, x in corners.tolist())
            return first, second


def turned(image: np.ndarray, angle: float, rng: np.random.Generator) -> np.ndarray:
    """The image turned by degrees: with black or white corners, on a larger canvas, or the part without corners."""
    height, width = image.shape[:2]
    way = rng.choice(["black", "white", "whole", "inner"])
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
    if way == "whole":
        larger = (np.abs(matrix[:, :2]) @ [width, height]).astype(int)
        matrix[:, 2] += (larger - [width, height]) / 2
        return cv2.warpAffine(image, matrix, larger.tolist())
    corners = (255, 255, 255) if way == "white" else (0, 0, 0)
    image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderValue=corners)
    if way == "inner":
        radians = np.deg2rad(abs(angle))
        side = int(min(height, width) / (np.cos(radians) + np.sin(radians)))
        top, left = (height - side) // 2, (width - side) // 2
        return image[top : top + side, left : left + side]
    return image


def changed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In half of all cases one more change, of those that copies undergo besides."""
    change = rng.integers(12)
    if change == 0:
        return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    if change == 1:
        scale = rng.choice([0.7, 0.8, 1.3])
        return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if change == 2:
        return image[:, ::-1]
    if change == 3:
        return np.rot90(image, rng.integers(1, 4))
    if change in (4, 5):  # brightness; white balance
        gain = rng.uniform(0.85, 1.15) if change == 4 else rng.uniform(0.92, 1.08, 3)
        return np.clip(np.rint(image * gain), 0, 255).astype(np.uint8)
    return image


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def figures(data: Path, items: list[Item], plants: list[Plant], found: Duplicates) -> dict[str, Any]:
    """What was found of what was planted, and what else was found."""
    hits: dict[str, dict[str, list[bool]]] = {"by_kind": defaultdict(list), "by_folder": defaultdict(list)}
    for plant in plants:
        hit = bool(found.field[plant.first] == found.field[plant.second])
        hits["by_kind"][plant.kind].append(hit)
        hits["by_folder"][plant.folder].append(hit)
        hits["by_kind"]["all"].append(hit)
    linked = {(rows[0], row) for rows in found.near for row in rows[1:]} | {(o.a, o.b) for o in found.overlaps}
    pairs = sorted((a, b) for a, b in linked if items[a].file != items[b].file)
    false = [
        (a, b)
        for a, b in pairs
        if items[a].file.parent != items[b].file.parent or (items[a].file.name, items[b].file.name) in FALSE
    ]
    sheet(items, pairs)
    number = sum(hits["by_kind"]["all"])
    names = [[f"{items[row].file.relative_to(data)}" + "*" * items[row].planted for row in pair] for pair in pairs]
    return {
        **{part: {name: share(hit) for name, hit in groups.items()} for part, groups in hits.items()},
        "false_pairs": len(false),
        "precision": round(number / (number + len(false)), 4),
        "precision_interval": np.round(wilson_interval(number, number + len(false)), 4).tolist(),
        "pairs_not_planted": len(pairs),
        "pairs": names,
    }


def share(hits: list[bool]) -> dict[str, Any]:
    low, high = wilson_interval(sum(hits), len(hits))
    return {"planted": len(hits), "found": sum(hits), "interval": [round(low, 3), round(high, 3)]}


def sheet(items: list[Item], pairs: list[tuple[int, int]], side: int = 180, columns: int = 5) -> None:
    """Found pairs that were not planted, for a person to look at; evenly chosen if they are many."""
    some = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, _SHOWN).astype(int))] if pairs else []
    tiles = []
    for rows in some:
        tile = np.zeros((side, 2 * side + 10, 3), np.uint8)
        for place, row in enumerate(rows):
            image = decode(items[row].data)
            scale = side / max(image.shape)
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:side, :side]
            tile[: image.shape[0], place * side : place * side + image.shape[1]] = image
        tiles.append(tile)
    if not tiles:
        return
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    SHEET.parent.mkdir(parents=True, exist_ok=True)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    cv2.imwrite(str(SHEET), np.ascontiguousarray(np.vstack(lines)[..., ::-1]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"), sys.argv[2:] or list(FOLDERS))
