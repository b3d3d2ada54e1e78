"""Making networks: any timm architecture, with pretrained weights, those of a file, or none.

Importing this module makes the project's own architectures known to timm: `alexnet`, `compact_cnn` and ensembles.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import timm
from huggingface_hub import constants
from safetensors.torch import load_file
from timm.models._hub import check_cached_file
from torch import nn

from leuko.networks import architectures, ensemble_network, hub_errors  # noqa: F401  (two are registered with timm)
from leuko.networks.network import Network, TimmModel


class WeightsError(ValueError):
    """Initial weights are unreachable or do not fit; the message says what to do."""


def create(backbone: str, classes: int, *, weights: str = "auto", dropout: float = 0.0) -> Network:
    """Build a network for `classes` classes.

    On a pretrained trunk, a new last layer starts with zeros, as in Kolesnikov et al., "Big Transfer", 2020,
    arXiv:1912.11370. timm's initial values are meant for a thousand classes: with four, an EfficientNet's first
    predictions are wrong and confident, and the first steps of training destroy much of the trunk.

    Args:
        backbone: any name of `timm.list_models()`.
        classes: number of classes, at least 2.
        weights: `auto` (timm's pretrained weights from the Hub), `none` (random), or the path of a safetensors
            file with the backbone's parameters under timm's names; its last layer is left out if it has other classes.
        dropout: probability before the last layer, 0 to 1.

    Raises:
        WeightsError: unknown backbone, unreachable or unfitting weights.
    """
    if not timm.is_model(backbone):
        near = ", ".join(timm.list_models(f"*{backbone.split('.')[0][:6]}*")[:5]) or "see timm.list_models()"
        raise WeightsError(f"timm has no network named {backbone!r}; did you mean one of: {near}?")
    try:
        with hub_errors.quiet(), _cached_if_offline(backbone) if weights == "auto" else nullcontext():
            timm_model = cast(
                TimmModel,
                timm.create_model(backbone, pretrained=weights == "auto", num_classes=classes, drop_rate=dropout),
            )
    except Exception as error:
        if weights != "auto":
            raise
        logging.getLogger(__name__).debug("pretrained weights of %s", backbone, exc_info=error)
        raise WeightsError(
            f"The pretrained weights of {backbone} could not be fetched from the Hub. Check the connection, or give "
            "--weights FILE (safetensors) or --weights none."
        ) from error
    new = weights == "auto" and classes != timm_model.pretrained_cfg.get("num_classes")
    if weights not in ("auto", "none"):
        new = _load_initial(timm_model, Path(weights))
    if new:
        for parameter in timm_model.get_classifier().parameters():
            nn.init.zeros_(parameter)
    return Network(timm_model)


def read_network(file: Path, backbone: str, classes: int, arguments: dict[str, Any]) -> Network:
    """Read a network from a safetensors file, in single precision.

    Args:
        file: all weights, under timm's names.
        backbone: timm's name.
        classes: number of classes.
        arguments: further ones of `timm.create_model`.
    """
    timm_model = timm.create_model(backbone, num_classes=classes, **arguments)
    timm_model.load_state_dict(load_file(file))  # copied into single precision
    return Network(timm_model)


@contextmanager
def _cached_if_offline(backbone: str) -> Iterator[None]:
    """Within it, pretrained weights come from this machine's cache if their source does not answer."""
    cfg = timm.get_pretrained_cfg(backbone)
    on_hub = bool(cfg and cfg.hf_hub_id)
    source = constants.ENDPOINT if on_hub else _url(cfg)
    if not source or (constants.HF_HUB_OFFLINE and on_hub) or hub_errors.reachable(source):
        yield
        return
    if not on_hub and not check_cached_file(source):
        raise WeightsError(f"{source} does not answer.")
    with hub_errors.cached_only():
        yield


def _url(cfg: Any) -> str | None:
    """The address of pretrained weights that are not on the Hub."""
    url = cfg.url if cfg else None
    return url if isinstance(url, str) else None


def _load_initial(timm_model: TimmModel, file: Path) -> bool:
    """Load the tensors that fit; True if the last layer was left as it was, because the file's has other classes."""
    if file.suffix != ".safetensors":
        raise WeightsError(f"--weights takes auto, none or a .safetensors file; {file.name} is none of them.")
    try:
        given = load_file(file)
    except Exception as error:
        raise WeightsError(f"The weights file {file} is missing or not a complete safetensors file.") from error
    wanted = timm_model.state_dict()
    head = {id(p) for p in timm_model.get_classifier().parameters()}
    last = {name for name, p in timm_model.named_parameters() if id(p) in head}
    fitting = {k: v for k, v in given.items() if k in wanted and v.shape == wanted[k].shape}
    missing = [k for k in wanted if k not in fitting and k not in last]
    if missing:
        raise WeightsError(
            f"{file.name} does not fit this backbone: {len(missing)} of {len(wanted)} tensors are missing or have "
            f"another shape (the first: {missing[0]})."
        )
    timm_model.load_state_dict(fitting, strict=False)
    return not last <= fitting.keys()
