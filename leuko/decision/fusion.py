"""Fusion: one probability, one decision, its reasons and its headline from the network and the cell-based score.

A network decides where the image is in distribution. Cells that say the opposite make the decision uncertain, and so
does a field without a counted white cell. Out of distribution the network is not used: the cell-based score decides
where it is clear.

A close-up of one cell never excludes leukaemia. It has no cell-based score, so only a network that was trained on
close-ups (image and cell size are in distribution) decides on it: on this cell, and not on the slide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from leuko.cells.blast_share import DIFFERENTIAL_SIZE, MIN_DIFFERENTIAL, describe_blast_like, with_count
from leuko.decision.calibration import OperatingPoint
from leuko.decision.cell_score import CellScore, Decision

OPPOSITE = {"suspicious": "not suspicious", "not suspicious": "suspicious"}


@dataclass(frozen=True)
class Verdict:
    """The conclusion for one image.

    Attributes:
        point: the network's operating point.
        network: the network's probability of leukaemia, 0 to 1; None if no class is known to mean leukaemia.
        ood_reason: why the image is out of distribution for the network, in words; empty if it is in distribution.
        cells: the cell-based score; None if the cells were not segmented.
        issues: why the image quality is too low, a sentence each; empty if it is sufficient.
    """

    point: OperatingPoint
    network: float | None
    ood_reason: str
    cells: CellScore | None
    issues: tuple[str, ...] = ()

    @property
    def basis(self) -> Literal["network", "cells"] | None:
        """What the decision rests on; None without a decision by either."""
        if self.issues or self.network is None or self._objection:
            return None
        if self.ood_reason:
            return "cells" if self.cells and self.cells.probability is not None else None
        return "network"

    @property
    def probability(self) -> float | None:
        """Probability of leukaemia, 0 to 1, by what the decision rests on; without a decision, the network's.

        None where no class is known to mean leukaemia.
        """
        return self.cells.probability if self.cells and self.basis == "cells" else self.network

    @property
    def decision(self) -> Decision:
        """Suspicious, not suspicious or uncertain."""
        if self.cells and self.basis == "cells":
            return self.cells.decision
        return self._network_decision if self.basis == "network" else "uncertain"

    @property
    def reasons(self) -> Iterator[str]:
        """The reasons for the decision, one sentence each."""
        if self.issues:
            yield from self.issues
            return
        if self.ood_reason:
            yield f"Out of distribution ({self.ood_reason}): the network's prediction was not used."
        if not self.ood_reason or self.network is None:
            yield self._network_sentence()
        if self.cells:
            yield self.cells.sentence
        if self._objection:
            yield f"{self._objection}, so the decision is uncertain."
        if self.cells and not self.cells.close_up and 0 < self.cells.nucleated < MIN_DIFFERENTIAL:
            cells = f"{with_count(self.cells.nucleated, 'white cell')} {'is' if self.cells.nucleated == 1 else 'are'}"
            yield f"{cells} too few to assess the slide: {DIFFERENTIAL_SIZE}."

    @property
    def title(self) -> str:
        """The decision in words."""
        if self.issues:
            return "Image quality too low"
        if self.decision == "uncertain":
            return f"Uncertain: {self._why_uncertain}"
        agree = self.cells and self.cells.decision == self.decision
        alone = ", by the cells alone" if self.basis == "cells" else "" if agree else ", by the network alone"
        decided = f"{self.decision} for ALL{alone}"
        return f"This cell is {decided}" if self.cells and self.cells.close_up else decided[0].upper() + decided[1:]

    @property
    def cell_summary(self) -> str:
        """The cells found, in one sentence that says if they are few; empty where nothing is to be decided."""
        if self.issues or self.network is None:
            return ""
        if not self.cells:
            return "The cells were not segmented."
        counted = self.cells.nucleated
        if self.cells.close_up:
            content = {0: "no white cell", 1: "one cell"}.get(
                self.cells.white_cells, f"{self.cells.white_cells} white cells"
            )
            return f"A close-up of {content}, which does not represent the slide."
        if not counted:
            return f"{self.cells.no_score_reason[0].upper()}{self.cells.no_score_reason[1:]}."
        if self.cells.probability is None:
            return f"{with_count(counted, 'white cell')}, of unknown size."
        cells = describe_blast_like(self.cells.blast_like, counted)
        limit = "; too few cells to assess the slide" if counted < MIN_DIFFERENTIAL else ""
        return f"{cells[0].upper()}{cells[1:]}{limit}."

    @property
    def headline(self) -> str:
        """The decision in words, and the cells found."""
        return f"{self.title}. {self.cell_summary}".strip()

    @property
    def _network_decision(self) -> Decision:
        return "uncertain" if self.network is None else self.point.decide(self.network)

    @property
    def _objection(self) -> str:
        """Why the cells make the decision of an in-distribution network uncertain; empty if they do not."""
        decision = self._network_decision
        if self.ood_reason or self.issues or not self.cells or decision == "uncertain":
            return ""
        if not self.cells.nucleated:
            return "No white cell was counted"
        if self.cells.decision == OPPOSITE[decision]:
            return "The network and the cell-based score contradict each other"
        return ""

    @property
    def _why_uncertain(self) -> str:
        """Why there is no decision, in a few words."""
        if self.network is None:
            return "no class of this model is known to mean leukaemia"
        if self._objection:
            if self.cells and self.cells.nucleated:
                return "network and cells contradict each other"
            return "no white cell was counted"
        if not self.ood_reason:
            return "the probability is near the threshold"
        if self.cells and self.cells.close_up:
            return "a close-up cannot exclude leukaemia"
        if self.cells and self.cells.not_a_smear:
            return "not a smear, or out of focus"
        if self.cells and self.cells.too_few_cells:
            return "too few cells for a decision"
        return "out of distribution (unlike the training images)"

    def _network_sentence(self) -> str:
        if self.network is None:
            return "No class of this model is known to mean leukaemia, so the network makes no decision."
        probability = f"The network's leukaemia probability is {percent(self.network)}"
        low, high = self.point.abstain
        return {
            "suspicious": f"{probability}: suspicious, because it is {percent(high)} or more.",
            "not suspicious": f"{probability}: not suspicious, because it is below {percent(low)}.",
            "uncertain": f"{probability}: uncertain, because it is between {percent(low)} and {percent(high)}.",
        }[self._network_decision]


def percent(probability: float) -> str:
    """A probability, 0 to 1, as a percentage that never claims certainty; with a non-breaking space."""
    if probability < 0.001:
        return "under 0.1\u00a0%"
    return "over 99.9\u00a0%" if probability > 0.999 else f"{100 * probability:.1f}\u00a0%"
