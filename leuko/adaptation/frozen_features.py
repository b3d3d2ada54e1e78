"""Features of frozen trunks, computed once for every image and its augmented views.

Fitting a head on precomputed features is fast, because the trunk causes nearly all the cost, and a frozen trunk always
gives the same features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from leuko.images.augmentation import Augmentation, reduce_size
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.networks.runtime import OnnxRuntime
from leuko.networks.trunk_files import TrunkFiles

QUEUED_IMAGES = 4  # decoded images that may wait for a trunk; more would only use memory


@dataclass(frozen=True, eq=False)
class FrozenTrunk:
    """A trunk at one input size.

    Attributes:
        files: the files of the trunk.
        preprocessing: converts images to inputs of the trunk.
        runtime: computes the pooled features.
    """

    files: TrunkFiles
    preprocessing: Preprocessing
    runtime: OnnxRuntime

    @classmethod
    def open(cls, files: TrunkFiles, preprocessing: Preprocessing) -> FrozenTrunk:
        """Open a trunk for inputs of `preprocessing.size`.

        Raises:
            ValueError: the network does not accept inputs of this size.
        """
        return cls(files, preprocessing, files.open(preprocessing.size))


def compute_features(
    trunks: Sequence[FrozenTrunk],
    open_image: Callable[[int], np.ndarray],
    count: int,
    *,
    views: int = 0,
    seed: int = 0,
) -> list[np.ndarray]:
    """Pooled features of images and of augmented views that simulate stains and cameras of other laboratories.

    The views of an image depend only on the seed and on the image's number.

    Args:
        trunks: trunks with the same preprocessing share their inputs.
        open_image: decodes image 0 to `count` − 1: uint8, H × W × 3, RGB; called once for each image.
        count: number of images.
        views: number of augmented views of each image.
        seed: seed of the augmentation.

    Returns:
        For each trunk float32, N × (1 + views) × D; index 0 of the second axis is the image without augmentation.
    """
    preprocessings: list[Preprocessing] = []
    for trunk in trunks:
        if not any(trunk.preprocessing is other for other in preprocessings):
            preprocessings.append(trunk.preprocessing)
    features: list[list[np.ndarray]] = [[] for _ in trunks]
    waiting: list[Future[None]] = []

    def append_features(trunk: FrozenTrunk, inputs: np.ndarray, target: list[np.ndarray]) -> None:
        target.append(trunk.runtime.features(inputs))

    with ThreadPoolExecutor(1) as executor:  # trunks process one image while the next one is decoded
        for number in range(count):
            image = open_image(number)
            inputs = [_inputs(image, each, views, [seed, number]) for each in preprocessings]
            for trunk, target in zip(trunks, features, strict=True):
                own = next(i for i, each in enumerate(preprocessings) if each is trunk.preprocessing)
                waiting.append(executor.submit(append_features, trunk, inputs[own], target))
                if len(waiting) > QUEUED_IMAGES:
                    waiting.pop(0).result()
        for future in waiting:
            future.result()
    return [np.stack(each) for each in features]


def _inputs(image: np.ndarray, preprocessing: Preprocessing, views: int, seed: list[int]) -> np.ndarray:
    """Inputs of an image and of its views, float32, (1 + views) × 3 × height × width."""
    plain = to_input(image, preprocessing)
    if not views:
        return plain[None]
    augment = Augmentation(
        preprocessing.size, preprocessing.mean, preprocessing.std, kind="stain", stain=preprocessing.stain
    )
    rng, small = np.random.default_rng(seed), reduce_size(image, preprocessing.size)  # reduced once for all views
    return np.stack([plain, *(augment(small, rng) for _ in range(views))])
