"""95 % confidence intervals by the cluster bootstrap: groups of images that belong together are resampled.

Images of one patient resemble one another, so a hundred of them carry less information than images of a hundred
patients. Whole groups are therefore drawn with replacement (Davison & Hinkley, *Bootstrap Methods and their
Application*, 1997, section 3.8), within classes, so that no class disappears. A resample is a weight for every image:
how often it was drawn. An estimand is a function of these weights: weights of 1 give its value, resamples its draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from leuko.stats import proportions, small_sample_intervals
from leuko.stats.proportions import TAIL

RESAMPLES = 1000
FEW_GROUPS = 10  # of a class; with fewer, images are drawn within the groups as well
NARROW = 5e-4  # an interval narrower than this prints as one number: the resamples hardly differ
_WEIGHTS_AT_ONCE = 2_000_000  # held in memory, 8 MB as float32

Interval = dict[str, float | None]  # `value`, `low`, `high`; None where an estimand is undefined
Kind = Literal["bounded", "proportion", "auc", "upward_biased"]


@dataclass(frozen=True, eq=False)
class Estimand:
    """A quantity to be estimated, under B weightings of the images.

    Attributes:
        values: float, B; NaN where it is undefined.
        kind: `proportion` of images; `auc`, an area under the ROC curve; `upward_biased`, which noise can only make
            larger, such as a calibration error (its draws are shifted back); or any other `bounded` quantity.
        weights: total weights, B each: of a proportion, numerator and denominator; of an AUC, positives and negatives.
        limits: smallest and largest possible value.
    """

    values: np.ndarray
    kind: Kind = "bounded"
    weights: tuple[np.ndarray, ...] = ()
    limits: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def proportion(cls, numerator: np.ndarray, denominator: np.ndarray) -> Estimand:
        """The proportion of one total weight, B, in another, B; NaN where the denominator is 0."""
        undefined = np.full(numerator.shape, np.nan)
        values = np.divide(numerator, denominator, out=undefined, where=denominator > 0)
        return cls(values, "proportion", (numerator, denominator))

    @classmethod
    def auc(cls, values: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> Estimand:
        """An area under the ROC curve, B, with the total weights of positives and negatives, B each."""
        return cls(values, "auc", (positives, negatives))

    @classmethod
    def upward_biased(cls, values: np.ndarray) -> Estimand:
        """A quantity from 0 to 1, B, that noise can only make larger."""
        return cls(values, "upward_biased")

    @classmethod
    def bounded(cls, values: np.ndarray, low: float = 0.0, high: float = 1.0) -> Estimand:
        """Any quantity, B, that lies between two limits."""
        return cls(values, limits=(low, high))


Estimands = Mapping[Any, Estimand]


class Bootstrap:
    """Resamples of the images of an evaluation, the same every time.

    Attributes:
        description: what was resampled, and why the true uncertainty may be larger; in words.
        group_count: number of groups.
    """

    def __init__(self, truth: np.ndarray, groups: np.ndarray | None = None, labels: Sequence[str] = ()) -> None:
        """Prepare the resamples.

        Args:
            truth: int, N: the class of each image.
            groups: N, any values: which images belong together; None: each image is a group.
            labels: class names, for `description`.
        """
        groups = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
        self.size, self.group_count = len(truth), int(groups.max(initial=-1)) + 1
        order = np.argsort(groups, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
        classes = np.array([np.bincount(truth[rows]).argmax() for rows in members])
        self._strata = [[members[g] for g in np.flatnonzero(classes == c)] for c in np.unique(classes)]
        self._smallest_stratum = min(
            (len(m) if self._drawn_whole(m) else sum(map(len, m)) for m in self._strata), default=0
        )
        rare = {int(c): n for c, n in zip(*np.unique(classes, return_counts=True), strict=True) if n < FEW_GROUPS}
        self.description = self._describe({labels[c] if labels else str(c): n for c, n in rare.items()})

    def _describe(self, rare: dict[str, int]) -> str:
        text = f"95 % intervals from {RESAMPLES} resamples"
        if self.group_count == self.size:
            return f"{text} of single images; where several are of one patient, the true uncertainty is larger"
        text += f" of {self.group_count} groups"
        if rare:
            which = ", ".join(f"{number} of {name}" for name, number in rare.items())
            text += (
                f", and of images within them, since there are few ({which}): the true uncertainty is larger, and "
                "repeated cross-validation shows it better"
            )
        return text

    def weights(self) -> Iterator[np.ndarray]:
        """All `RESAMPLES` resamples in batches: weights, float32, B × N."""
        rng = np.random.default_rng(0)
        at_once = int(np.clip(_WEIGHTS_AT_ONCE // max(self.size, 1), 1, RESAMPLES))
        for start in range(0, RESAMPLES, at_once):
            number = min(at_once, RESAMPLES - start)
            weights = np.empty((number, self.size), np.float32)
            for members in self._strata:
                times = _draw_counts(len(members), number, rng)
                if self._drawn_whole(members):
                    weights[:, np.concatenate(members)] = np.repeat(times, [len(rows) for rows in members], axis=1)
                    continue
                for rows, time in zip(members, times.T, strict=True):
                    weights[:, rows] = rng.multinomial(time * len(rows), np.full(len(rows), 1 / len(rows)))
            yield weights

    def intervals(self, estimands: Callable[[np.ndarray], Estimands]) -> dict[Any, Interval]:
        """The value and the 95 % interval of each estimand.

        Where the resamples hardly differ, for example because all answers are right, the bootstrap finds no
        uncertainty, although 30 right answers of 30 do not prove that none will be wrong. The interval is then the
        exact one of Clopper & Pearson (1934, doi:10.1093/biomet/26.4.404) for the number of groups or, where images are
        drawn within them, of images. Areas under the ROC curve take Newcombe's interval (`auc_interval`) for these
        numbers of positives and negatives. Any other quantity, such as a mean over classes, takes the exact interval
        for the smallest class, which is too wide rather than too narrow.

        Args:
            estimands: from weights, float32, B × N, to estimands by name, each for B weightings.

        Returns:
            `value`, `low` and `high` by name; all None where an estimand is undefined for these images.
        """
        observed = estimands(np.ones((1, self.size), np.float32))
        resampled = [estimands(weights) for weights in self.weights()]
        units = [estimands(weights) for weights in self._single_units()]
        return {
            name: _interval(
                estimand,
                np.concatenate([batch[name].values for batch in resampled]),
                self._exact_interval(estimand, [batch[name] for batch in units]),
            )
            for name, estimand in observed.items()
        }

    def _single_units(self) -> Iterator[np.ndarray]:
        """Weights that hold one resampling unit each (a group, or an image), in batches as in `weights`.

        Nothing where every image is a unit: the weights of an estimand then count the units themselves.
        """
        units: list[np.ndarray] = []
        for members in self._strata:
            units += members if self._drawn_whole(members) else list(np.concatenate(members)[:, None])
        if len(units) == self.size:
            return
        at_once = int(np.clip(_WEIGHTS_AT_ONCE // max(self.size, 1), 1, len(units)))
        for start in range(0, len(units), at_once):
            batch = units[start : start + at_once]
            weights = np.zeros((len(batch), self.size), np.float32)
            for row, images in zip(weights, batch, strict=True):
                row[images] = 1
            yield weights

    def _exact_interval(self, estimand: Estimand, units: Sequence[Estimand]) -> Callable[[float], proportions.Interval]:
        """The interval of a value where the bootstrap shows no uncertainty; `units`: the estimand of each unit."""
        if estimand.kind == "auc":
            positives, negatives = (
                _contributing_units(weight, [unit.weights[side] for unit in units])
                for side, weight in enumerate(estimand.weights)
            )
            return partial(small_sample_intervals.auc_interval, positives=positives, negatives=negatives)
        if estimand.kind == "proportion":
            numerator, denominator = estimand.weights
            # Of a proportion of 1 only units in the numerator are sure to contribute: the denominator may be larger.
            side = 0 if numerator[0] > 0 else 1
            count = _contributing_units(denominator, [unit.weights[side] for unit in units])
            return partial(proportions.clopper_pearson_interval, count=count)
        low, high = estimand.limits
        return partial(proportions.clopper_pearson_interval, count=self._smallest_stratum, least=low, most=high)

    @staticmethod
    def _drawn_whole(members: Sequence[np.ndarray]) -> bool:
        """Whether the groups of a class are drawn as they are, and not images within them too."""
        return len(members) >= FEW_GROUPS or len(members) == sum(map(len, members))


def _draw_counts(members: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of some members is drawn; int, resamples × members."""
    drawn = rng.integers(members, size=(resamples, members)) + members * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * members).reshape(resamples, members)


def _contributing_units(total: np.ndarray, units: Sequence[np.ndarray]) -> float:
    """Number of resampling units that contribute to a total weight; `units` hold the weight of each unit alone."""
    if not units:
        return float(total[0])
    return min(float(total[0]), sum(int((weight > 0).sum()) for weight in units))


def _interval(
    estimand: Estimand, draws: np.ndarray, exact_interval: Callable[[float], proportions.Interval]
) -> Interval:
    value = float(estimand.values[0])
    draws = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(draws):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(draws, [TAIL, 1 - TAIL])
    if estimand.kind == "upward_biased":
        low, high = (max(bound - draws.mean() + value, 0.0) for bound in (low, high))
    if high - low < NARROW:
        exact = exact_interval(value)
        low, high = min(low, exact["low"]), max(high, exact["high"])
    return {"value": value, "low": float(low), "high": float(high)}
