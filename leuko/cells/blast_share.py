"""The share of blasts among nucleated cells, with its confidence interval, and in words that are no diagnosis.

Sizes of differential counts: ICSH 2008, doi:10.1111/j.1751-553X.2008.01100.x.
"""

from __future__ import annotations

from dataclasses import dataclass

from leuko.stats.proportions import wilson_interval

# Blasts among the nucleated cells of the marrow: remission lies below 5 % (ELN 2022, doi:10.1182/blood.2022016867),
# many acute leukaemias from 20 % on (WHO 2022, doi:10.1038/s41375-022-01613-1).
REFERENCE_LINES = (0.05, 0.20)
BLAST_THRESHOLD = 0.5  # probability from which a cell counts as a blast
MIN_DIFFERENTIAL = 200  # cells in a differential count of blood; 500 in one of marrow
DIFFERENTIAL_SIZE = "a differential count takes 200 cells in blood and 500 in marrow"  # ICSH 2008


@dataclass(frozen=True)
class BlastShare:
    """Blasts among the counted nucleated cells.

    Attributes:
        blasts: cells with a blast probability of 0.5 and more.
        nucleated: counted white cells with a nucleus.
    """

    blasts: int
    nucleated: int

    @property
    def share(self) -> float | None:
        """0 to 1; None without nucleated cells."""
        return self.blasts / self.nucleated if self.nucleated else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the share."""
        return wilson_interval(self.blasts, self.nucleated)

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
