"""The systems that `compare` sets side by side: the paper's, its references', and the embedded model's network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product

from leuko.experiments.baselines import Classifier
from leuko.networks.classical_features import FeatureSet

FROZEN = "tf_efficientnet_lite0"  # whose trunk gives the deep features; timm's name of Google's own network


@dataclass(frozen=True)
class FeatureClassifier:
    """A classifier on measures of an image.

    Attributes:
        name: on the command line.
        title: for people.
        measures: what is measured.
        classifier: what learns.
        smote: whether the training part is balanced by SMOTE.
    """

    name: str
    title: str
    measures: FeatureSet
    classifier: Classifier
    smote: bool = False


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that is trained on the images.

    Attributes:
        name, title: as above.
        backbone: timm's name.
        scratch_lr: learning rate where it starts from random weights; deep networks without batch norm need a low one.
        pretrained: whether there are ImageNet weights of it at all.
    """

    name: str
    title: str
    backbone: str
    scratch_lr: float = 1e-3
    pretrained: bool = True


@dataclass(frozen=True)
class ProbabilityAverage:
    """The mean of trained networks' probabilities.

    Attributes:
        name, title: as above.
        members: names of trained networks.
    """

    name: str
    title: str
    members: tuple[str, ...]


Method = FeatureClassifier | TrainedNetwork | ProbabilityAverage

_CLASSIFIERS: dict[Classifier, str] = {"svm": "SVM", "forest": "random forest", "tree": "decision tree"}
_KINDS: dict[FeatureSet, str] = {"cells": "cells and colours", "deep": f"frozen {FROZEN}"}


def _on_measures() -> Iterable[FeatureClassifier]:
    for (measures, words), (classifier, title), smote in product(_KINDS.items(), _CLASSIFIERS.items(), (False, True)):
        name = f"{measures}-{classifier}{'-smote' if smote else ''}"
        yield FeatureClassifier(name, f"{title} on {words}{', SMOTE' if smote else ''}", measures, classifier, smote)


ALL: tuple[Method, ...] = (
    FeatureClassifier(
        "colours", "nearest neighbours on nine colour statistics (no cell is seen)", "colours", "neighbours"
    ),
    *_on_measures(),
    FeatureClassifier("kazemi", "k-means nuclei and SVM (Kazemi et al. 2016)", "k-means nuclei", "svm"),
    TrainedNetwork("alexnet", "AlexNet", "alexnet", 1e-4),
    TrainedNetwork("vgg16", "VGG-16", "vgg16", 1e-4),
    TrainedNetwork("vgg16_bn", "VGG-16 with batch norm", "vgg16_bn"),
    TrainedNetwork("resnet50", "ResNet-50", "resnet50"),
    TrainedNetwork("densenet201", "DenseNet-201 (Ghaderzadeh et al. 2022)", "densenet201"),
    TrainedNetwork("sampathila", "compact CNN (after Sampathila et al. 2022)", "compact_cnn", pretrained=False),
    TrainedNetwork("lite0", "EfficientNet-Lite0, the embedded model's network", "efficientnet_lite0"),
    ProbabilityAverage(
        "ding",
        "average of VGG-16, ResNet-50 and DenseNet-201 (after Ding et al. 2019)",
        ("vgg16", "resnet50", "densenet201"),
    ),
    ProbabilityAverage(
        "shi",
        "average of all trained networks of the literature (after Shi et al. 2019)",
        ("alexnet", "vgg16", "vgg16_bn", "resnet50", "densenet201", "sampathila"),
    ),
)


def choose(names: Sequence[str]) -> list[Method]:
    """The systems of some names, in the order of `ALL`, with the members of averages among them.

    Args:
        names: of systems, patterns of them (`cells-*`), or names of trained networks to be averaged (`lite0+resnet50`).

    Raises:
        ValueError: a name or pattern fits none.
    """
    wanted: dict[str, Method] = {}
    for name in names:
        found = [_average(name)] if "+" in name else [system for system in ALL if fnmatchcase(system.name, name)]
        if not found:
            raise ValueError(f"No system is named {name!r}; there are {', '.join(system.name for system in ALL)}.")
        wanted |= {system.name: system for system in found}
    for system in list(wanted.values()):
        if isinstance(system, ProbabilityAverage):
            wanted |= {member: _TRAINED[member] for member in system.members}
    known = [system for system in ALL if system.name in wanted]
    return known + [system for system in wanted.values() if system not in ALL]


def _average(name: str) -> ProbabilityAverage:
    members = tuple(name.split("+"))
    if unknown := [member for member in members if member not in _TRAINED]:
        raise ValueError(f"{unknown[0]!r} is no network to be averaged; there are {', '.join(_TRAINED)}.")
    return ProbabilityAverage(name, f"average of {', '.join(_TRAINED[member].title for member in members)}", members)


BACKBONES = (FROZEN, *(system.backbone for system in ALL if isinstance(system, TrainedNetwork) and system.pretrained))
_TRAINED = {system.name: system for system in ALL if isinstance(system, TrainedNetwork)}
