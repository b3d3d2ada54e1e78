"""From what the network and the cells say to one probability, one decision and its reasons.

A network that knows such images decides; cells that say the opposite make it uncertain. A network that does not
is not asked: then the cells decide, where they are clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leuko.cells.evidence import CellEvidence, Decision
from leuko.models.calibration import OperatingPoint

OPPOSITE = {"suspicious": "not suspicious", "not suspicious": "suspicious"}


@dataclass(frozen=True)
class Verdict:
    """What is concluded of one image that is fit to be judged.

    Attributes:
        point: the network's operating point.
        network: the network's probability of leukaemia, 0 to 1; None if none of its classes is known to mean it.
        strange: why the image is unlike those the network was trained on, in words; empty if it is not.
        cells: what the cells say; None if nobody looked.
    """

    point: OperatingPoint
    network: float | None
    strange: str
    cells: CellEvidence | None

    @property
    def probability(self) -> float:
        """Of leukaemia, 0 to 1: the network's, or the cells' where the network does not know such images.

        0 where nothing is known to mean leukaemia.
        """
        if self.strange and self.cells and self.cells.probability is not None:
            return self.cells.probability
        return self.network or 0.0

    @property
    def decision(self) -> Decision:
        """Suspicious, not suspicious or uncertain."""
        if self.strange:
            return self.cells.decision if self.cells else "uncertain"
        return "uncertain" if self._objection else self._network_decides

    @property
    def reasons(self) -> Iterator[str]:
        """For the decision, one sentence each."""
        if self.strange:
            yield f"The image is unlike the training images ({self.strange}), so the network's answer does not count."
        yield self._network_says()
        if self.cells:
            yield self.cells.sentence
        if not self.strange and self._objection:
            yield self._objection

    @property
    def _network_decides(self) -> Decision:
        return "uncertain" if self.network is None else self.point.decide(self.network)

    @property
    def _objection(self) -> str:
        """Why the cells leave a network that knows such images no decision, in a sentence; empty if they do not."""
        said = self._network_decides
        if self.cells and not self.cells.nucleated and said == "suspicious":
            return "Without a nucleated cell there is nothing to suspect, so the decision is uncertain."
        if self.cells and self.cells.decision == OPPOSITE.get(said):
            return "The network and the cells contradict each other, so the decision is uncertain."
        return ""

    def _network_says(self) -> str:
        if self.network is None:
            return "None of this model's classes is known to mean leukaemia, so it decides nothing."
        said = f"The network gives leukaemia a probability of {percent(self.network)}"
        if self.strange:
            return f"{said}."
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
