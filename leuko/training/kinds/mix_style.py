"""Styles of laboratories, mixed within a batch.

Zhou et al., "Domain generalization with MixStyle", ICLR 2021, arXiv:2104.02008: the mean and spread of each channel of
early features show stain, light and sharpness. Features of a cell that take a part of them from another cell keep what
is where, so that kinds are learnt from shapes in every style between those of the laboratories.
"""

from __future__ import annotations

import torch

CHANCE = 0.5  # that a batch is mixed
SHAPE = 0.3  # of the beta distribution of shares: mostly one of the two styles


def mix_styles(features: torch.Tensor) -> torch.Tensor:
    """Features, float32, B × C × H × W, in mixed styles; or, as often, as they are."""
    if torch.rand(()) >= CHANCE:
        return features
    mean = features.mean(dim=(2, 3), keepdim=True).detach()
    spread = (features.var(dim=(2, 3), keepdim=True) + 1e-6).sqrt().detach()
    other = torch.randperm(len(features))
    share = torch.distributions.Beta(SHAPE, SHAPE).sample((len(features), 1, 1, 1))
    return (features - mean) / spread * (share * spread + (1 - share) * spread[other]) + (
        share * mean + (1 - share) * mean[other]
    )
