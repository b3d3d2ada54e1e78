"""The share of blasts among nucleated cells, with its interval, and in words that are no diagnosis.

Sizes of differential counts: ICSH 2008, doi:10.1111/j.1751-553X.2008.01100.x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp, xlog1py, xlogy

from leuko.stats.proportions import TAIL, clopper_pearson_interval

# Blasts among the nucleated cells of the marrow: remission lies below 5 % (ELN 2022, doi:10.1182/blood.2022016867),
# many acute leukaemias from 20 % on (WHO 2022, doi:10.1038/s41375-022-01613-1).
REFERENCE_LINES = (0.05, 0.20)
BLAST_THRESHOLD = 0.5  # probability from which a cell counts as a blast
MIN_DIFFERENTIAL = 200  # cells in a differential count of blood; 500 in one of marrow
# Largest likelihood ratio of one cell, and inverse of the least: chosen on drawn fields that are not reported.
MAX_RATIO = 20.0
SHARES = np.concatenate([[0.0], (np.arange(500) + 0.5) / 500, [1.0]])  # at which the interval is computed
LIKELY = 1.92  # half the 95 % quantile of chi-squared with one degree of freedom (Wilks 1938)
DIFFERENTIAL_SIZE = "a differential count takes 200 cells in blood and 500 in marrow"  # ICSH 2008


@dataclass(frozen=True)
class BlastShare:
    """Blasts among the counted nucleated cells.

    Attributes:
        probabilities: of a blast, of each counted white cell with a nucleus, 0 to 1.
    """

    probabilities: tuple[float, ...]

    @property
    def nucleated(self) -> int:
        """Counted white cells with a nucleus."""
        return len(self.probabilities)

    @property
    def blasts(self) -> int:
        """Those with a blast probability of 0.5 and more."""
        return sum(probability >= BLAST_THRESHOLD for probability in self.probabilities)

    @property
    def share(self) -> float | None:
        """0 to 1; None without nucleated cells."""
        return self.blasts / self.nucleated if self.nucleated else None

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share of blasts in the slide; it holds `share`.

        So few cells vary, and some are misclassified. So a cell is a blast with the share as its probability, and it
        says by its likelihood ratio which it is; where the probability is 0 or 1, a person has said it. The interval
        holds three: the credible interval with Jeffreys' prior, which covers well between the ends; the
        likelihood-ratio interval, which knows that a share of exactly 0 or 1 is possible; and the exact one of the
        count, which holds where no cell is misclassified.
        """
        if self.share is None:
            return 0.0, 1.0
        probabilities = np.array(self.probabilities)
        ratios = np.clip(probabilities / np.maximum(1 - probabilities, 1e-9), 1 / MAX_RATIO, MAX_RATIO)
        computed = ratios[(probabilities > 0) & (probabilities < 1)]
        logs = np.log(SHARES[:, None] * computed + 1 - SHARES[:, None]).sum(axis=1)
        logs += xlogy((probabilities == 1).sum(), SHARES) + xlog1py((probabilities == 0).sum(), -SHARES)
        likely = SHARES[logs >= logs.max() - LIKELY]
        inner = SHARES[1:-1]
        posterior = logs[1:-1] - (np.log(inner) + np.log1p(-inner)) / 2
        below = np.cumsum(np.exp(posterior - logsumexp(posterior)))
        low, high = (inner[np.searchsorted(below, tail)] for tail in (TAIL, 1 - TAIL))
        exact = clopper_pearson_interval(self.share, self.nucleated)
        return float(min(low, likely[0], exact["low"])), float(max(high, likely[-1], exact["high"]))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The share in words, with its limits."""
        share = self.share
        if share is None:
            return ("No nucleated cell was counted, so there is no share of blasts.",)
        low, high = self.interval
        looks = "looks like a blast" if self.blasts == 1 else "look like blasts"
        lines = [
            f"{self.blasts} of {with_count(self.nucleated, 'nucleated cell')} {looks}: {100 * share:.0f} % "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %)."
        ]
        if self.nucleated < MIN_DIFFERENTIAL:
            cells = f"{with_count(self.nucleated, 'cell')} {'is' if self.nucleated == 1 else 'are'}"
            lines.append(f"{cells} too few to assess the slide: {DIFFERENTIAL_SIZE}.")
        lines.append(
            "Reference lines of bone marrow are 5 % (remission is below) and 20 % (one of several criteria of acute "
            "leukaemia). They do not apply to blood, and this count is not a diagnosis."
        )
        return tuple(lines)


def describe_blast_like(blast_like: int, number: int) -> str:
    """How many white cells look like blasts, in words."""
    cells = with_count(number, "white cell")
    if not blast_like:
        return f"no blast-like cell among {cells}"
    return f"{blast_like} of {cells} {'looks like a blast' if blast_like == 1 else 'look like blasts'}"


def with_count(count: int, noun: str) -> str:
    """A noun with its count: 1 cell, 2 cells."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
