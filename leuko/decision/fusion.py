"""From what the network and the cells say to one probability, one decision, its reasons and its headline.

A network that knows such images decides; cells that say the opposite make it uncertain, and so does a field without a
white cell to judge by. A network that does not is not asked: then the cells decide, where they are clear.

A close-up of one cell clears nobody. Its cell gives no score, so that only a network that was trained on such close-ups
(it knows the image, and the size of the cell in it) says something of it: of this cell, and nothing of the slide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from leuko.cells.blast_share import FEW_CELLS, describe_blast_like, with_count
from leuko.decision.calibration import OperatingPoint
from leuko.decision.cell_score import CellScore, Decision

OPPOSITE = {"suspicious": "not suspicious", "not suspicious": "suspicious"}


@dataclass(frozen=True)
class Verdict:
    """What is concluded of one image.

    Attributes:
        point: the network's operating point.
        network: the network's probability of leukaemia, 0 to 1; None if none of its classes is known to mean it.
        strange: why the image is unlike those the network was trained on, in words; empty if it is not.
        cells: what the cells say; None if nobody looked.
        issues: why the image is not fit to be judged, a sentence each; empty if it is.
    """

    point: OperatingPoint
    network: float | None
    ood_reason: str
    cells: CellScore | None
    issues: tuple[str, ...] = ()

    @property
    def basis(self) -> Literal["network", "cells"] | None:
        """Whose answer counts; None if nobody's does."""
        if self.issues or self.network is None or self._objection:
            return None
        if self.ood_reason:
            return "cells" if self.cells and self.cells.probability is not None else None
        return "network"

    @property
    def probability(self) -> float | None:
        """Of leukaemia, 0 to 1: the cells' where they count, else the network's, which decides nothing if it does not.

        None where nothing is known to mean leukaemia.
        """
        return self.cells.probability if self.cells and self.basis == "cells" else self.network

    @property
    def decision(self) -> Decision:
        """Suspicious, not suspicious or uncertain."""
        if self.cells and self.basis == "cells":
            return self.cells.decision
        return self._network_decides if self.basis == "network" else "uncertain"

    @property
    def reasons(self) -> Iterator[str]:
        """For the decision, one sentence each."""
        if self.issues:
            yield from self.issues
            return
        if self.ood_reason:
            yield f"The image is unlike the training images ({self.ood_reason}), so the network's answer does not count."
        if not self.ood_reason or self.network is None:
            yield self._network_says()
        if self.cells:
            yield self.cells.sentence
        if self._objection:
            yield f"{self._objection}, so the decision is uncertain."
        if self._few:
            yield self._few

    @property
    def title(self) -> str:
        """The decision in words."""
        if self.issues:
            return "Not fit to be judged"
        if self.decision == "uncertain":
            return f"Uncertain: {self._open}"
        agree = self.cells and self.cells.decision == self.decision
        alone = ", by the cells alone" if self.basis == "cells" else "" if agree else ", by the network alone"
        decided = f"{self.decision} for ALL{alone}"
        return f"This cell is {decided}" if self.cells and self.cells.close_up else decided[0].upper() + decided[1:]

    @property
    def cell_summary(self) -> str:
        """What was seen, in a sentence that says how little so few cells say; empty where nothing is to be decided."""
        if self.issues or self.network is None:
            return ""
        if not self.cells:
            return "The cells were not looked for."
        counted = self.cells.nucleated
        if self.cells.close_up:
            what = {0: "no white cell", 1: "one cell"}.get(
                self.cells.white_cells, f"{self.cells.white_cells} white cells"
            )
            return f"A close-up of {what}, which says nothing of the slide."
        if not counted:
            return f"{self.cells.no_score_reason[0].upper()}{self.cells.no_score_reason[1:]}."
        if self.cells.probability is None:
            return f"{with_count(counted, 'white cell')}, of unknown size."
        what = describe_blast_like(self.cells.blast_like, counted)
        little = "; so few cells say little of the slide" if counted < FEW_CELLS else ""
        return f"{what[0].upper()}{what[1:]}{little}."

    @property
    def headline(self) -> str:
        """The decision in words and what was seen."""
        return f"{self.title}. {self.cell_summary}".strip()

    @property
    def _network_decides(self) -> Decision:
        return "uncertain" if self.network is None else self.point.decide(self.network)

    @property
    def _objection(self) -> str:
        """Why the cells leave a network that knows such images no decision; empty if they do not."""
        said = self._network_decides
        if self.ood_reason or self.issues or not self.cells or said == "uncertain":
            return ""
        if not self.cells.nucleated:
            return "Without a white cell that counts there is nothing to judge by"
        if self.cells.decision == OPPOSITE[said]:
            return "The network and the cells contradict each other"
        return ""

    @property
    def _open(self) -> str:
        """Why there is no decision, in a few words."""
        if self.network is None:
            return "no class of this model is known to mean leukaemia"
        if self._objection:
            return (
                "network and cells contradict each other"
                if self.cells and self.cells.nucleated
                else "no cell to judge by"
            )
        if not self.ood_reason:
            return "too close to call"
        if self.cells and self.cells.close_up:
            return "a close-up clears nobody"
        if self.cells and self.cells.not_a_smear:
            return "not a smear, or out of focus"
        return "too few cells to say" if self.cells and self.cells.too_few else "unlike the training images"

    @property
    def _few(self) -> str:
        """That so few cells say little of the slide, in a sentence; empty where it need not be said."""
        if not self.cells or self.cells.close_up or not 0 < self.cells.nucleated < FEW_CELLS:
            return ""
        counted = with_count(self.cells.nucleated, "white cell")
        little = "says" if self.cells.nucleated == 1 else "say"
        return f"{counted} {little} little of the slide: a differential has 200 in blood and 500 in marrow."

    def _network_says(self) -> str:
        if self.network is None:
            return "None of this model's classes is known to mean leukaemia, so it decides nothing."
        said = f"The network gives leukaemia a probability of {percent(self.network)}"
        low, high = self.point.abstain
        return {
            "suspicious": f"{said}; {percent(high)} and more counts as suspicious.",
            "not suspicious": f"{said}; less than {percent(low)} counts as not suspicious.",
            "uncertain": f"{said}, too close to call (between {percent(low)} and {percent(high)}).",
        }[self._network_decides]


def percent(probability: float) -> str:
    """A probability, 0 to 1, in words that never claim certainty, with a space that does not break."""
    if probability < 0.001:
        return "under 0.1\u00a0%"
    return "over 99.9\u00a0%" if probability > 0.999 else f"{100 * probability:.1f}\u00a0%"
