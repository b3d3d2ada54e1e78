"""The training loss: cross-entropy or focal loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional as F  # noqa: N812 (its usual name)

LossName = Literal["cross-entropy", "focal"]
FOCUS = 2.0  # gamma, as recommended by Lin et al.


@dataclass(frozen=True)
class Loss:
    """Cross-entropy, or focal loss, of logits.

    Focal loss gives less weight to images that are already classified well: Lin et al., "Focal Loss for Dense Object
    Detection", 2017, arXiv:1708.02002. Label smoothing expects a small probability of every class: Szegedy et al.,
    2016, arXiv:1512.00567.

    Attributes:
        name: `cross-entropy` or `focal`.
        smoothing: share of the target that is spread over all classes, 0 to 1.
        weights: weight of each class; None: equal weights.
    """

    name: LossName = "cross-entropy"
    smoothing: float = 0.0
    weights: tuple[float, ...] | None = None

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean loss of logits, B × classes, and labels, B; with class weights a weighted mean."""
        logits = logits.float()  # half precision is not accurate enough for a sum of exponentials
        weights = None if self.weights is None else torch.tensor(self.weights, device=logits.device)
        if self.name == "cross-entropy":
            return F.cross_entropy(logits, labels, weights, label_smoothing=self.smoothing)
        log_p = F.log_softmax(logits, dim=1)
        target = F.one_hot(labels, logits.shape[1]) * (1 - self.smoothing) + self.smoothing / logits.shape[1]
        each = -target * (1 - log_p.exp()) ** FOCUS * log_p
        if weights is None:
            return each.sum(dim=1).mean()
        return (each * weights).sum() / weights[labels].sum()
