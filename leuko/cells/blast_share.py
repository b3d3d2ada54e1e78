"""The share of blasts among nucleated cells: with its uncertainty, and in words that are no diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

from leuko.stats.proportions import wilson_interval

# Blasts among the nucleated cells of the marrow: remission lies below 5 % (ELN 2022, doi:10.1182/blood.2022016867),
# many acute leukaemias from 20 % on (WHO 2022, doi:10.1038/s41375-022-01613-1).
REFERENCE_LINES = (0.05, 0.20)
BLAST = 0.5  # probability from which a cell counts as a blast
FEW_CELLS = 200  # a differential of blood has so many; one of marrow 500 (ICSH, doi:10.1111/j.1751-553X.2008.01100.x)


@dataclass(frozen=True)
class BlastShare:
    """Blasts among the nucleated cells that count.

    Attributes:
        blasts: cells with a blast probability of 0.5 and more.
        nucleated: white cells that count and whose nucleus was found.
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
        """What the share says and does not say, for a reader."""
        if not self.nucleated:
            return ("No nucleated cell was counted, so there is no share of blasts.",)
        low, high = self.interval
        looks = "looks like a blast" if self.blasts == 1 else "look like blasts"
        lines = [
            f"{self.blasts} of {with_count(self.nucleated, 'nucleated cell')} {looks}: {100 * self.share:.0f} % "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %)."
        ]
        if self.nucleated < FEW_CELLS:
            few = with_count(self.nucleated, "cell")
            lines.append(f"{few} is little to go by: a differential has 200 in blood and 500 in marrow.")
        lines.append(
            "For context: 5 % (remission lies below it) and 20 % (one of several criteria of acute leukaemia) are "
            "reference lines for bone marrow. They do not hold for blood, and this count is not a diagnosis."
        )
        return tuple(lines)


def describe_blast_like(blast_like: int, number: int) -> str:
    """How many of so many white cells look like blasts, in words."""
    cells = with_count(number, "white cell")
    if not blast_like:
        return f"no blast-like cell among {cells}"
    return f"{blast_like} of {cells} {'looks like a blast' if blast_like == 1 else 'look like blasts'}"


def with_count(count: int, kind: str) -> str:
    """A count in words: 1 cell, 2 cells."""
    return f"{count} {kind}" if count == 1 else f"{count} {kind}s"
