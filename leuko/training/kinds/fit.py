"""Fitting the network of kinds: which cells are drawn, the losses of both views, optimiser, schedule, checkpoints.

The normal kinds are learnt in the fine view, from laboratories that name the kinds of cells, and so is the form of
drawn blasts against normal cells of any laboratory. In the coarse view blasts are learnt above all by the contrast
within a laboratory: cells of its malignant fields, most of which are blasts, against cells of its benign fields, which
are none. Cells of other laboratories are no blasts either; the stain of every laboratory is moved to those of the
others, so that the laboratory does not tell it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from leuko.cells.kinds.names import BLAST, KINDS
from leuko.cells.kinds.network import as_input
from leuko.training import fit_loop, fit_state
from leuko.training.fit_state import Progress
from leuko.training.kinds.adversary import Adversary
from leuko.training.kinds.augment import change
from leuko.training.kinds.cells import BENIGN, LABELS, MALIGNANT, Cells
from leuko.training.kinds.sampling import Sampler
from leuko.training.kinds.two_views import FROZEN, TwoViewNetwork
from leuko.training.kinds.views import SEEN_PX, coarse


@dataclass(frozen=True)
class FitParameters:
    """How the network is fitted.

    Attributes:
        fine, field, named, drawn: cells a step: in the fine view; in the coarse one of fields that are malignant or
            benign, of cells with a kind, and drawn ones.
        laboratory_power: laboratories are drawn by this power of their number of cells, and kinds alike within each.
        drawn_share: of drawn cells in the fine view; half of these are blasts.
        form, form_blast: weight of the loss of the form of blasts, and of a blast in it.
        rate, trunk_rate: largest learning rates of the linear layers and of the trunk.
        decay: weight decay.
        warm_up: steps in which the rate grows.
        average: share that the average of the weights keeps a step; the average is the result.
        smoothing: of labels.
        blasts: share of blasts among cells of malignant fields that is believed; for the rest the network is.
        lymphocytes: share of lymphocytes among cells with a kind in the coarse view: they look most like blasts.
        adversary: how strongly features are kept from naming the laboratory, see `leuko.training.kinds.adversary`.
        elsewhere: weight of "no blast" for cells of laboratories that have no leukaemia.
        message_every, checkpoint_every: steps.
    """

    fine: int = 54
    field: int = 20
    named: int = 12
    drawn: int = 4
    laboratory_power: float = 0.5
    drawn_share: float = 0.16
    form: float = 0.5
    form_blast: float = 3.0
    rate: float = 3e-3
    trunk_rate: float = 6e-4
    decay: float = 2e-2
    warm_up: int = 30
    average: float = 0.985
    smoothing: float = 0.06
    blasts: float = 0.75
    lymphocytes: float = 0.4
    adversary: float = 0.04
    elsewhere: float = 1.0
    message_every: int = 25
    checkpoint_every: int = 100


PARAMETERS = FitParameters()


class _Steps(Dataset[tuple[np.ndarray, ...]]):
    """One batch an index; the same index gives the same batch."""

    def __init__(self, sampler: Sampler, first: int, count: int, seed: int, parameters: FitParameters) -> None:
        self.sampler, self.first, self.count, self.seed, self.parameters = sampler, first, count, seed, parameters

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        if index >= self.count:
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, self.first + index])
        p, sampler = self.parameters, self.sampler
        fine_rows = [
            sampler.drawn_for_form(rng) if sampler.has_drawn and rng.random() < p.drawn_share else sampler.named(rng)
            for _ in range(p.fine)
        ]
        far_rows = [sampler.of_field(rng, (BENIGN, MALIGNANT)[i % 2]) for i in range(p.field)]
        for _ in range(p.named):
            far_rows.append(sampler.lymphocyte(rng) if rng.random() < p.lymphocytes else sampler.named(rng))
        far_rows += [sampler.drawn(rng) for _ in range(p.drawn if sampler.has_drawn else 0)]
        seen = SEEN_PX + rng.integers(-6, 9, len(far_rows))
        fine = np.stack([self._view(row, rng) for row in fine_rows])
        far = np.stack([coarse(self._view(row, rng), int(side)) for row, side in zip(far_rows, seen, strict=True)])
        places = np.arange(len(far_rows))
        elsewhere = (places >= p.field) & (places < p.field + p.named)
        laboratories = sampler.laboratories[far_rows]
        return (
            as_input(fine), sampler.codes[fine_rows],
            as_input(far), sampler.codes[far_rows], elsewhere, laboratories,
        )  # fmt: skip

    def _view(self, row: int, rng: np.random.Generator) -> np.ndarray:
        cells = self.sampler.cells
        return change(cells.pixels[row], cells.parts[row], *self.sampler.stains(row, rng), rng)


def loss(
    network: TwoViewNetwork,
    batch: tuple[torch.Tensor, ...],
    adversary: Adversary,
    parameters: FitParameters = PARAMETERS,
) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of a batch, and its parts."""
    fine, fine_codes, far, far_codes, elsewhere, laboratories = batch
    near = network.dropout(network.features(fine))
    drawn_blast = fine_codes == KINDS.index(BLAST)
    kinds = functional.cross_entropy(
        network.normal(near)[~drawn_blast], fine_codes[~drawn_blast], label_smoothing=parameters.smoothing
    )
    form = functional.binary_cross_entropy_with_logits(
        network.form_odds(near), drawn_blast.float(), pos_weight=torch.tensor(parameters.form_blast)
    )
    away = network.dropout(network.features(far))
    logs = network.all(away).log_softmax(dim=1)
    blast, none = logs[:, -1], logs[:, :-1].logsumexp(dim=1)
    malignant, benign = far_codes == LABELS.index(MALIGNANT), far_codes == LABELS.index(BENIGN)
    believed = parameters.blasts + (1 - parameters.blasts) * blast[malignant].detach().exp()
    contrast = -(believed * blast[malignant] + (1 - believed) * none[malignant]).sum() - none[benign].sum()
    contrast = contrast / max(int((malignant | benign).sum()), 1)
    named = ~malignant & ~benign
    is_blast = far_codes == KINDS.index(BLAST)
    normal = named & ~is_blast
    among = functional.cross_entropy(
        network.all(away)[normal][:, :-1], far_codes[normal], label_smoothing=parameters.smoothing
    )
    weight = torch.where(elsewhere, parameters.elsewhere, 1.0)[named]
    told = -(weight * torch.where(is_blast, blast, none)[named]).mean()
    total = kinds + contrast + 0.5 * among + 0.5 * told + parameters.form * form
    named_laboratory = torch.zeros(())
    if parameters.adversary:
        lymphoid = benign | (far_codes == KINDS.index("lymphocyte"))
        named_laboratory = adversary(away[lymphoid], laboratories[lymphoid], parameters.adversary)
        total = total + named_laboratory
    parts = {
        "laboratory": named_laboratory,
        "kinds": kinds,
        "form": form,
        "contrast": contrast,
        "coarse": among,
        "elsewhere": told,
    }
    return total, {name: float(part.detach()) for name, part in parts.items()}


def fit(
    network: TwoViewNetwork,
    cells: Cells,
    steps: int,
    seed: int,
    state: Path,
    on_message: Callable[[str], None],
    parameters: FitParameters = PARAMETERS,
) -> TwoViewNetwork:
    """Fit a network. A run goes on from its state where there is one.

    Args:
        network: to begin with.
        cells: of all laboratories.
        steps: batches.
        seed: of the batches.
        state: safetensors file of the run, see `leuko.training.fit_state`.
        on_message: receives the lines meant for the user.
        parameters: of the fit.

    Returns:
        The average of the network's weights over the last steps, in evaluation mode.

    Raises:
        leuko.training.settings.TrainingError: the loss is not finite.
    """
    network = network.to(memory_format=torch.channels_last)
    for frozen in network.trunk[: FROZEN + 2]:
        frozen.requires_grad_(False)
    trunk = [p for p in network.trunk.parameters() if p.requires_grad]
    sampler = Sampler(cells, parameters.laboratory_power)
    adversary = Adversary(len(sampler.names))
    layers = [p for part in (network.normal, network.form, network.all, adversary) for p in part.parameters()]
    optimiser = torch.optim.AdamW(
        [
            {"params": layers, "lr": parameters.rate, "initial_lr": parameters.rate},
            {"params": trunk, "lr": parameters.trunk_rate, "initial_lr": parameters.trunk_rate},
        ],
        weight_decay=parameters.decay,
    )
    average = copy.deepcopy(network).eval()
    done = Progress(0, {}, {})
    if state.is_file():
        done = fit_state.restore(state, network, average, optimiser)
        on_message(f"Continuing from step {done.step}.")
    batches = _Steps(sampler, done.step, steps - done.step, seed, parameters)
    loader = DataLoader(
        batches, batch_size=None, num_workers=1, prefetch_factor=4, worker_init_fn=fit_loop.start_worker
    )
    network.train()
    fit_loop.run(
        network,
        average,
        optimiser,
        done,
        loader if done.step < steps else (),
        lambda batch: loss(network, batch, adversary, parameters),
        steps,
        parameters,
        state,
        on_message,
    )
    return average.eval()
