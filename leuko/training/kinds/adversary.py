"""What keeps features from naming the laboratory."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from leuko.training.kinds.two_views import WIDTH


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round and scaled."""

    @staticmethod
    def forward(context: Any, features: torch.Tensor, strength: float) -> torch.Tensor:
        """The features."""
        context.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Minus the gradient."""
        return -context.strength * gradient, None


class Adversary(nn.Module):
    """Learns to name the laboratory of lymphoid cells that are no blasts, while the features learn to hide it.

    Ganin et al., "Domain-adversarial training of neural networks", 2016, arXiv:1505.07818. Cells that are alike in kind
    are compared, so that hiding the laboratory hides nothing of the kind.
    """

    def __init__(self, laboratories: int) -> None:
        super().__init__()
        self.number = laboratories
        self.layers = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, laboratories))

    def forward(self, features: torch.Tensor, laboratories: torch.Tensor, strength: float) -> torch.Tensor:
        """The loss: float32, of B × 192 features and the numbers of their laboratories, B; classes count alike.

        Features are not pushed on once the laboratories are told no better than by chance: they would run away.
        """
        weights = (1 / torch.bincount(laboratories, minlength=self.number).clamp(min=1)).float()
        with torch.no_grad():
            told = functional.cross_entropy(self.layers(features), laboratories, weight=weights) < math.log(self.number)
        logits = self.layers(_Reversed.apply(features, strength if told else 0.0))
        return functional.cross_entropy(logits, laboratories, weight=weights)
