"""The network of kinds, to be trained: EfficientNet-Lite0's first stages, shared by two views, and three layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from leuko.cells.kinds.names import KINDS, NORMAL_KINDS
from leuko.networks.backbones import WeightsError
from leuko.training.kinds.cells import LABELS
from leuko.training.kinds.views import coarse_matrix
from leuko.training.segmenter.unet import BACKBONE

STAGES, WIDTH = 6, 192  # the last stage holds a quarter of the weights, and a cell has few pixels at this depth
FROZEN = 2  # first stages that stay as they are: edges and colours look alike everywhere
LYMPHOCYTE = NORMAL_KINDS.index("lymphocyte")
# What the fine view counts in the log-odds of a blast: chosen by the patients of JHU whose number 4 divides, and by how
# well cells of malignant and benign fields are told apart.
LYMPHOCYTE_WEIGHT, ENERGY_WEIGHT = 0.25, 0.2
NOVELTY_DIMENSIONS = 24  # of the features, in which novelty is measured


class TwoViewNetwork(nn.Module):
    """See the module.

    Its buffers are set after the fit. From cells that took no part in it: `temperature` of the normal kinds (Guo et al.
    2017, arXiv:1706.04599), `blast_bias` and `form_bias` of the log-odds of a blast by its contrast and by its form.
    From the cells of the fit: what novelty is measured by, `whitening`, 384 × D, and `centres`, labels × D.
    """

    coarse: torch.Tensor
    temperature: torch.Tensor
    blast_bias: torch.Tensor
    form_bias: torch.Tensor
    whitening: torch.Tensor
    centres: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        whole: Any = timm.create_model(BACKBONE, num_classes=0)
        self.trunk = nn.Sequential(whole.conv_stem, whole.bn1, *whole.blocks[:STAGES])
        self.dropout = nn.Dropout(0.2)
        self.normal = nn.Linear(WIDTH, len(NORMAL_KINDS))
        self.form = nn.Linear(WIDTH, 1)
        self.all = nn.Linear(WIDTH, len(KINDS))
        self.register_buffer("coarse", torch.from_numpy(coarse_matrix()))
        self.register_buffer("temperature", torch.ones(1))
        self.register_buffer("blast_bias", torch.zeros(1))
        self.register_buffer("form_bias", torch.zeros(1))
        self.register_buffer("whitening", torch.zeros(2 * WIDTH, NOVELTY_DIMENSIONS))
        self.register_buffer("centres", torch.zeros(len(LABELS), NOVELTY_DIMENSIONS))

    def load_trunk(self, file: Path) -> None:
        """Take the trunk's weights from a safetensors file in timm's names.

        Raises:
            WeightsError: the file cannot be read, or holds weights of another network.
        """
        names = {"0": "conv_stem", "1": "bn1"} | {str(i + 2): f"blocks.{i}" for i in range(STAGES)}
        own = {}
        try:
            stored = load_file(file)
            for name in self.trunk.state_dict():
                first, rest = name.split(".", 1)
                own[name] = stored[f"{names[first]}.{rest}"].float()
            self.trunk.load_state_dict(own)
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"The weights {file} cannot be read: {error}.") from error
        except (KeyError, RuntimeError) as error:
            raise WeightsError(f"{file} holds no weights of {BACKBONE}.") from error

    def train(self, mode: bool = True) -> TwoViewNetwork:
        """As of PyTorch, but batch norms keep ImageNet's statistics: those of a batch would tell laboratories."""
        super().train(mode)
        self.trunk.eval()
        return self

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Float32, B × 192, of float32, B × 3 × side × side."""
        return self.trunk(pixels.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))

    def form_odds(self, near: torch.Tensor) -> torch.Tensor:
        """Log-odds of a blast by its form, float32, B, before `form_bias`, of the features of the fine view, B × 192.

        The form of a blast is learnt from drawn cells: a large nucleus that nearly fills the cell, and fine chromatin.
        """
        return self.form(near)[:, 0]

    def blast_odds(self, near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
        """Log-odds of a blast by its contrast to benign cells, float32, B, before `blast_bias`.

        They are of the features of both views, B × 192 each. The coarse view does not show chromatin. The fine view
        knows mature lymphocytes, and it recognises no kind well where a cell is of none that it has learnt: its energy
        is high (Liu et al. 2020, arXiv:2010.03759).
        """
        fine, everything = self.normal(near), self.all(far)
        coarse = everything[:, -1] - everything[:, :-1].logsumexp(dim=1)
        others = [kind for kind in range(len(NORMAL_KINDS)) if kind != LYMPHOCYTE]
        lymphocyte = fine[:, LYMPHOCYTE] - fine[:, others].logsumexp(dim=1)
        return coarse - LYMPHOCYTE_WEIGHT * lymphocyte - ENERGY_WEIGHT * fine.logsumexp(dim=1)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What `leuko.cells.kinds.network` reads.

        Args:
            pixels: float32, B × 3 × 96 × 96, the fine view.

        Returns:
            `probabilities`: float32, B × 8. A cell is a blast by its contrast or by its form, as if both erred
                independently; the rest is of normal kinds, by the fine view.
            `features`: float32, B × 384, of both views.
            `novelty`: float32, B.
        """
        near, far = self.features(pixels), self.features(self.coarse @ pixels @ self.coarse.T)
        kinds = (self.normal(near) / self.temperature).softmax(dim=1)
        odds = self.blast_odds(near, far) + self.blast_bias, self.form_odds(near) + self.form_bias
        blast = 1 - ((-odds[0]).sigmoid() * (-odds[1]).sigmoid())[:, None]
        features = torch.cat([near, far], dim=1)
        away = (features @ self.whitening)[:, None] - self.centres
        return torch.cat([kinds * (1 - blast), blast], dim=1), features, away.square().sum(dim=2).amin(dim=1)
