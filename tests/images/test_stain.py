"""Stain normalisation: what becomes of the colours, and what does not change."""

from __future__ import annotations

import json

import numpy as np
import pytest
from skimage.color import rgb2lab

from leuko.images.augmentation import restain
from leuko.images.decode import decode
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.images.stain.normalisation import StainNormaliser, macenko_normalise, recolour_dyes, reinhard_normalise
from leuko.images.stain.profile import StainProfile, StainRange, find_dyes
from leuko.images.synthetic import rendering


@pytest.fixture(scope="module")
def other() -> np.ndarray:
    """A field of another laboratory: red stain, dim yellow lamp, other cells."""
    field = rendering.render(8, width=240, height=200, um_per_px=0.3, stain="pink", white_cells={"neutrophil": 3}).image
    return (restain(field, np.array([1.2, 1.1, 0.8])) * [0.9, 0.85, 0.6]).astype(np.uint8)


def tissue(image: np.ndarray, look: StainProfile, where: np.ndarray) -> np.ndarray:
    """Mean CIELAB of some pixels, with the glass as white, by scikit-image."""
    return rgb2lab(np.clip(image / look.background, 0, 1))[where].mean(axis=0)


def dyed(image: np.ndarray) -> np.ndarray:
    return (image / StainProfile.from_image(image).background).min(axis=-1) < 10**-0.12


def test_reinhard_gives_dyed_pixels_and_glass_the_colours_of_the_reference(smear, other):
    look = StainProfile.from_image(other)
    matched = reinhard_normalise(smear, look)
    assert matched.shape == smear.shape and matched.dtype == np.uint8
    wanted = tissue(other, look, dyed(other))
    assert np.linalg.norm(tissue(smear, StainProfile.from_image(smear), dyed(smear)) - wanted) > 10
    assert np.linalg.norm(tissue(matched, look, dyed(smear)) - wanted) < 4
    assert np.abs(np.quantile(matched, 0.95, axis=(0, 1)) - look.background).max() <= 4


@pytest.mark.parametrize("match", [reinhard_normalise, macenko_normalise])
def test_an_image_keeps_its_own_colours_and_its_shapes(match, smear, other):
    assert np.abs(match(smear, StainProfile.from_image(smear)).astype(int) - smear).mean() < 1.5
    order = np.corrcoef(match(smear, StainProfile.from_image(other))[..., 1].ravel(), smear[..., 1].ravel())[0, 1]
    assert order > 0.97  # dark stays dark, pale stays pale


@pytest.mark.parametrize("match", [reinhard_normalise, macenko_normalise])
def test_one_slide_under_several_lamps_and_dye_strengths_looks_the_same(match, smear, other):
    look = StainProfile.from_image(other)
    views = [restain(smear, np.array(k)) for k in ([0.8, 0.8, 0.8], [1, 1, 1], [1.25, 1.25, 1.25])]
    views += [(smear * np.array(lamp)).astype(np.uint8) for lamp in ([0.8, 0.8, 0.8], [1, 0.9, 0.75])]
    raw = np.std([colour_statistics(view)[:6] for view in views], axis=0).mean()
    done = np.std([colour_statistics(match(view, look))[:6] for view in views], axis=0).mean()
    assert done < 0.35 * raw


def test_the_dyes_of_a_known_mixture_are_found():
    rng = np.random.default_rng(0)
    dyes = np.array([[0.55, 0.80, 0.24], [0.10, 0.90, 0.42]])
    dyes /= np.linalg.norm(dyes, axis=1, keepdims=True)
    share = rng.beta(0.3, 0.3, size=4000)
    amounts = np.stack([share * 1.2, (1 - share) * 0.5], axis=1)  # the first is the denser: that of the nuclei
    found = find_dyes(amounts @ dyes + rng.normal(0, 0.004, (4000, 3)))
    assert np.degrees(np.arccos((found * dyes).sum(axis=1).clip(-1, 1))).max() < 4


def test_new_dyes_and_glass_are_those_asked_for(smear):
    own = StainProfile.from_image(smear)
    assert np.abs(recolour_dyes(smear, own, own).astype(int) - smear).max() <= 1
    stronger = StainProfile(own.background * 0.8, own.mean, own.spread, own.dyes * 1.5, own.strength)
    inner = (smear > 40).all(axis=-1) & (smear < own.background - 20).all(axis=-1)
    before = -np.log10((smear[inner] + 1) / (own.background + 1))
    after = -np.log10((recolour_dyes(smear, own, stronger)[inner] + 1) / (stronger.background + 1))
    along = before @ np.linalg.pinv(own.dyes) @ own.dyes
    assert np.abs(after - (before + 0.5 * along)).mean() < 0.01


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("match", [reinhard_normalise, macenko_normalise])
def test_a_plain_image_stays_plain(match, value, other):
    plain = np.full((64, 80, 3), value, np.uint8)
    assert match(plain, StainProfile.from_image(other)).std(axis=(0, 1)).max() < 1


def test_a_normalisation_survives_its_file(smear, other):
    for method in ("reinhard", "macenko"):
        normalise = StainNormaliser(
            method,
            StainProfile.median(
                [StainProfile.from_image(other), StainProfile.from_image(smear), StainProfile.from_image(other)]
            ),
        )
        again = StainNormaliser.from_json(json.loads(json.dumps(normalise.as_json())))
        assert np.abs(again.transform(smear).astype(int) - normalise.transform(smear)).max() <= 1
    with pytest.raises(ValueError, match="unknown"):
        StainNormaliser.from_json({**normalise.as_json(), "method": "x"})


def test_real_laboratories_come_nearer(data):
    """The glass and tissue of Aria fields, given the look of other laboratories."""
    fields = [decode(f) for f in sorted((data / "aria" / "Pre").iterdir())[:300:60]]
    others = (
        sorted((data / "bccd" / "JPEGImages").iterdir())[:40:10] + sorted((data / "pbc" / "lymphocyte").iterdir())[:3]
    )
    for file in others:
        look = StainProfile.from_image(decode(file))
        for field in fields:
            own, matched = StainProfile.from_image(field), StainProfile.from_image(reinhard_normalise(field, look))
            assert np.abs(matched.background - look.background).max() <= 8
            assert np.linalg.norm(matched.mean - look.mean) < 0.65 * max(np.linalg.norm(own.mean - look.mean), 10)


def test_known_looks_are_kept_and_others_are_not(smear, other):
    looks = [StainProfile.from_image(restain(smear, np.full(3, strength))) for strength in (0.9, 1.0, 1.1)]
    normalise = StainNormaliser("reinhard", StainProfile.median(looks), StainRange.from_profiles(looks))
    assert normalise.transform(smear) is smear
    assert normalise.accepted.contains(StainProfile.from_image(np.clip(smear * 0.99, 0, 255).astype(np.uint8)))
    foreign = normalise.transform(other)
    assert np.array_equal(foreign, reinhard_normalise(other, normalise.target)) and not np.array_equal(foreign, other)
    again = StainNormaliser.from_json(json.loads(json.dumps(normalise.as_json())))
    assert again.transform(smear) is smear and np.abs(again.transform(other).astype(int) - foreign).max() <= 1
