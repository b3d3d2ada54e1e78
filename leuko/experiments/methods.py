"""The methods of `leuko compare`: those of the paper, of its references, and the network of the embedded model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product

from leuko.experiments.baselines import Classifier
from leuko.networks.classical_features import FeatureSet

FROZEN = "tf_efficientnet_lite0"  # its trunk gives the deep features; timm's name of Google's original network


@dataclass(frozen=True)
class FeatureClassifier:
    """A classical classifier on image features.

    Attributes:
        name: on the command line.
        title: for people.
        features: kind of features.
        classifier: kind of classifier.
        smote: whether SMOTE balances the training part.
    """

    name: str
    title: str
    features: FeatureSet
    classifier: Classifier
    smote: bool = False


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that is trained on the images.

    Attributes:
        name, title: as above.
        backbone: timm name.
        scratch_lr: learning rate from random weights; deep networks without batch norm need a low one.
        pretrained: whether ImageNet weights exist.
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
_FEATURES: dict[FeatureSet, str] = {"cells": "cells and colours", "deep": f"frozen {FROZEN}"}


def _feature_classifiers() -> Iterable[FeatureClassifier]:
    for (features, description), (classifier, title), smote in product(
        _FEATURES.items(), _CLASSIFIERS.items(), (False, True)
    ):
        name = f"{features}-{classifier}{'-smote' if smote else ''}"
        yield FeatureClassifier(
            name, f"{title} on {description}{', SMOTE' if smote else ''}", features, classifier, smote
        )


ALL: tuple[Method, ...] = (
    FeatureClassifier(
        "colours", "nearest neighbours on nine colour statistics (no cell shapes)", "colours", "neighbours"
    ),
    *_feature_classifiers(),
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
    """The methods of the given names, in the order of `ALL`, together with the members of averages.

    Args:
        names: names or patterns (`cells-*`) of methods, or trained networks to be averaged (`lite0+resnet50`).

    Raises:
        ValueError: a name or pattern matches no method.
    """
    chosen: dict[str, Method] = {}
    for name in names:
        matching = [_average(name)] if "+" in name else [method for method in ALL if fnmatchcase(method.name, name)]
        if not matching:
            raise ValueError(f"No method is named {name!r}; there are {', '.join(method.name for method in ALL)}.")
        chosen |= {method.name: method for method in matching}
    for method in list(chosen.values()):
        if isinstance(method, ProbabilityAverage):
            chosen |= {member: _TRAINED[member] for member in method.members}
    known = [method for method in ALL if method.name in chosen]
    return known + [method for method in chosen.values() if method not in ALL]


def _average(name: str) -> ProbabilityAverage:
    members = tuple(name.split("+"))
    if unknown := [member for member in members if member not in _TRAINED]:
        raise ValueError(f"{unknown[0]!r} is not a network that can be averaged; there are {', '.join(_TRAINED)}.")
    return ProbabilityAverage(name, f"average of {', '.join(_TRAINED[member].title for member in members)}", members)


BACKBONES = (FROZEN, *(method.backbone for method in ALL if isinstance(method, TrainedNetwork) and method.pretrained))
_TRAINED = {method.name: method for method in ALL if isinstance(method, TrainedNetwork)}
