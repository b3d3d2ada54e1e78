"""How sure a figure is: 95 % intervals by resampling groups of images that belong together.

Images of one patient resemble one another, so that a hundred of them say less than a hundred patients would. Whole
groups are therefore drawn with replacement (the cluster bootstrap: Davison & Hinkley, Bootstrap Methods and their
Application, 1997, section 3.8), within classes, so that no class vanishes. A resample is a weight for every image: how
often it was drawn. A figure is a function of weights; the same function gives its value (all weights 1) and its draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from leuko.stats import proportions, small_sample_intervals

RESAMPLES = 1000
FEW = 10  # groups of a class, below which images are drawn within groups as well
TAIL = 0.025  # on either side of a 95 % interval
NARROW = 5e-4  # an interval narrower than this prints as one number: resampling has met (nearly) no error to draw
_AT_ONCE = 2_000_000  # weights in memory at a time

Interval = dict[str, float | None]  # value, low, high; None where a figure is not defined


class Share(NamedTuple):
    """A figure that is a share of images: the weight of those that count (B), and of all that might (B)."""

    part: np.ndarray
    whole: np.ndarray


class Upward(NamedTuple):
    """A figure, B, that noise can only make larger, such as a calibration error: its draws are shifted back."""

    values: np.ndarray


class Area(NamedTuple):
    """A figure, B, that is an area under the ROC curve, and the weights of the images on either side of it (B each)."""

    values: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


class Within(NamedTuple):
    """A figure, B, whose values lie between two limits other than 0 and 1."""

    values: np.ndarray
    least: float
    most: float


Figure = np.ndarray | Share | Upward | Area | Within
Figures = Mapping[Any, Figure]


class Bootstrap:
    """Resamples of the images of an evaluation, the same every time.

    Attributes:
        how: in words: what was resampled, and why the truth may be less sure.
        count: of groups.
    """

    def __init__(self, truth: np.ndarray, groups: np.ndarray | None = None, labels: Sequence[str] = ()) -> None:
        """Prepare for images with classes `truth` (int, N) in `groups` (N, any values; None: each its own).

        `labels` name the classes in words.
        """
        groups = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
        self.size, self.count = len(truth), int(groups.max(initial=-1)) + 1
        order = np.argsort(groups, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
        classes = np.array([np.bincount(truth[rows]).argmax() for rows in members])
        self._strata = [[members[g] for g in np.flatnonzero(classes == c)] for c in np.unique(classes)]
        self._fewest = min((len(m) if self._whole(m) else sum(map(len, m)) for m in self._strata), default=0)
        rare = {int(c): n for c, n in zip(*np.unique(classes, return_counts=True), strict=True) if n < FEW}
        self.how = self._in_words({labels[c] if labels else str(c): n for c, n in rare.items()})

    def _in_words(self, rare: dict[str, int]) -> str:
        said = f"95 % intervals from {RESAMPLES} resamples"
        if self.count == self.size:
            return f"{said} of single images; where several are of one patient, the true uncertainty is larger"
        said += f" of {self.count} groups"
        if rare:
            which = ", ".join(f"{number} of {name}" for name, number in rare.items())
            said += (
                f", and of images within them, since there are few ({which}): the true uncertainty is larger, and "
                "repeated cross-validation shows it better"
            )
        return said

    def weights(self) -> Iterator[np.ndarray]:
        """`RESAMPLES` resamples as float32, B × N, a number of them at a time."""
        rng = np.random.default_rng(0)
        at_once = int(np.clip(_AT_ONCE // max(self.size, 1), 1, RESAMPLES))
        for start in range(0, RESAMPLES, at_once):
            number = min(at_once, RESAMPLES - start)
            weights = np.empty((number, self.size), np.float32)
            for members in self._strata:
                times = _times(len(members), number, rng)
                if self._whole(members):
                    weights[:, np.concatenate(members)] = np.repeat(times, [len(rows) for rows in members], axis=1)
                    continue
                for rows, time in zip(members, times.T, strict=True):
                    weights[:, rows] = rng.multinomial(time * len(rows), np.full(len(rows), 1 / len(rows)))
            yield weights

    def intervals(self, figures: Callable[[np.ndarray], Figures]) -> dict[Any, Interval]:
        """Each figure with its interval.

        Where the resamples hardly differ, as when all answers are right, resampling says nothing: 30 right of 30 does
        not mean that none will ever be wrong. The interval is then the exact one (Clopper & Pearson 1934,
        doi:10.1093/biomet/26.4.404) for as many groups or, where images are drawn within them, as many images. Areas
        under the ROC curve take Newcombe's interval (`leuko.stats.small_sample_intervals.auc_interval`) for these numbers on either side. A
        figure that is neither a share nor an area, such as a mean over classes, counts as a share of the class that has
        fewest, which is too wide rather than too narrow.

        Args:
            figures: from weights, float32, B × N, to figures by name, each for B resamples.

        Returns:
            `value`, `low` and `high` by name; all None where a figure is not defined for these images.
        """
        values = figures(np.ones((1, self.size), np.float32))
        parts = [figures(weights) for weights in self.weights()]
        alone = [figures(weights) for weights in self._each_alone()]
        return {
            name: _interval(
                value,
                np.concatenate([_values(part[name]) for part in parts]),
                self._exact(value, [part[name] for part in alone]),
            )
            for name, value in values.items()
        }

    def _each_alone(self) -> Iterator[np.ndarray]:
        """What is drawn, group by group or image by image, each by itself: weights as `weights` gives them."""
        drawn: list[np.ndarray] = []
        for members in self._strata:
            drawn += members if self._whole(members) else list(np.concatenate(members)[:, None])
        if len(drawn) == self.size:  # single images, which a share counts itself
            return
        at_once = int(np.clip(_AT_ONCE // max(self.size, 1), 1, len(drawn)))
        for start in range(0, len(drawn), at_once):
            some = drawn[start : start + at_once]
            weights = np.zeros((len(some), self.size), np.float32)
            for row, images in zip(weights, some, strict=True):
                row[images] = 1
            yield weights

    def _exact(self, figure: Figure, alone: Sequence[Figure]) -> Callable[[float], proportions.Interval]:
        """The interval of a value where resampling tells none; `alone` holds the figure of each unit by itself."""
        if isinstance(figure, Area):
            sides = [_units(getattr(figure, s), [getattr(a, s) for a in alone]) for s in ("positive", "negative")]
            return lambda value: small_sample_intervals.auc_interval(value, *sides)
        if isinstance(figure, Share):
            # Of a share of 1 only units that are part of it are sure to tell of it: its whole may count more.
            side = "part" if figure.part[0] > 0 else "whole"
            return partial(
                proportions.clopper_pearson_interval, count=_units(figure.whole, [getattr(a, side) for a in alone])
            )
        least, most = (figure.least, figure.most) if isinstance(figure, Within) else (0.0, 1.0)
        return partial(proportions.clopper_pearson_interval, count=self._fewest, least=least, most=most)

    @staticmethod
    def _whole(members: Sequence[np.ndarray]) -> bool:
        """Whether the groups of a class are drawn as they are, and not images within them too."""
        return len(members) >= FEW or len(members) == sum(map(len, members))


def _times(members: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of some members is drawn; int, resamples × members."""
    drawn = rng.integers(members, size=(resamples, members)) + members * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * members).reshape(resamples, members)


def _values(figure: Figure) -> np.ndarray:
    if isinstance(figure, Share):
        return np.divide(figure.part, figure.whole, out=np.full(figure.part.shape, np.nan), where=figure.whole > 0)
    return figure if isinstance(figure, np.ndarray) else figure.values


def _units(whole: np.ndarray, alone: Sequence[np.ndarray]) -> float:
    """Of how many groups or images that are drawn a weight tells; `alone` holds the weight of each by itself."""
    if not alone:
        return float(whole[0])
    return min(float(whole[0]), sum(int((weight > 0).sum()) for weight in alone))


def _interval(figure: Figure, draws: np.ndarray, exact: Callable[[float], proportions.Interval]) -> Interval:
    value = float(_values(figure)[0])
    draws = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(draws):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(draws, [TAIL, 1 - TAIL])
    if isinstance(figure, Upward):
        low, high = (max(bound - draws.mean() + value, 0.0) for bound in (low, high))
    if high - low < NARROW:
        found = exact(value)
        low, high = min(low, found["low"]), max(high, found["high"])
    return {"value": value, "low": float(low), "high": float(high)}
