"""The features of a white cell: names, units and definitions, for the tables and for `docs/morphology.md`.

`python -m leuko.cells.features.catalogue > docs/morphology.md` writes the document.
"""

from __future__ import annotations

from dataclasses import dataclass

from leuko.cells.features.shape_descriptors import DESCRIPTORS
from leuko.cells.features.texture import LEVELS

TEXTURE_UM = 0.2  # µm per pixel, near the resolution of light: finer pixels add noise and no chromatin
LENGTH, AREA = "µm", "µm²"

_LANDINI = "Landini 2006, doi:10.1186/1746-160X-2-4"
_HU = "Hu 1962, doi:10.1109/TIT.1962.1057692"
_ZUNIC = "Žunić & Rosin 2004, doi:10.1109/TPAMI.2004.19"
_MOHAPATRA = "Mohapatra et al. 2014, doi:10.1007/s00521-013-1438-3"
_SOILLE = "Soille 2004, doi:10.1007/978-3-662-05088-0"
_CIELAB = "Robertson 1977, doi:10.1002/j.1520-6378.1977.tb00104.x"
_HARALICK = "Haralick et al. 1973, doi:10.1109/TSMC.1973.4309314"
_OJALA = "Ojala et al. 2002, doi:10.1109/TPAMI.2002.1017623"
_LIEBOVITCH = "Liebovitch & Toth 1989, doi:10.1016/0375-9601(89)90854-2"
_ZHANG = "Zhang & Lu 2004, doi:10.1016/j.patcog.2003.07.008"


@dataclass(frozen=True)
class Feature:
    """One feature of a white cell.

    Attributes:
        name: of the column in tables, JSON and matrices.
        unit: µm or µm² (px or px² where the image has no known scale), L*a*b* units, bits, or "" for a plain number.
        meaning: definition and range.
        reference: source, with its DOI.
    """

    name: str
    unit: str
    meaning: str
    reference: str


def _shape(part: str) -> list[Feature]:
    rows = [
        ("area", AREA, "number of pixels × their area", _LANDINI),
        ("perimeter", LENGTH, "length of the outer outline of all parts together", _LANDINI),
        ("diameter", LENGTH, "equivalent diameter, of a disc of the same area: √(4A/π)", _LANDINI),
        ("major_axis", LENGTH, "long axis of the ellipse with the same second moments", _HU),
        ("minor_axis", LENGTH, "short axis of the ellipse with the same second moments", _HU),
        ("feret", LENGTH, "largest calliper diameter", _LANDINI),
        ("min_feret", LENGTH, "smallest calliper diameter", _LANDINI),
        ("form_factor", "", "4πA/P²: 1 for a disc, 0.79 for a square, less for longer outlines", _LANDINI),
        ("roundness", "", "4A/(πD²), D the largest calliper diameter: 1 for a disc, 0.64 for a square", _LANDINI),
        ("solidity", "", "area over convex area: 0 to 1, 1 without dents", _LANDINI),
        ("eccentricity", "", "of the ellipse with the same second moments: 0 for a disc, towards 1 for a line", _HU),
        ("convexity", "", "perimeter of the convex hull over perimeter: 1 for a smooth convex outline", _ZUNIC),
        ("elongation", "", "largest over smallest calliper diameter: 1 for a disc, upwards", _LANDINI),
    ]
    return [Feature(f"{part}_{name}", unit, f"{part}: {meaning}", reference) for name, unit, meaning, reference in rows]


def _colour(part: str) -> list[Feature]:
    names = {"l": "L* (lightness, 0 to 100)", "a": "a* (green − to red +)", "b": "b* (blue − to yellow +)"}
    return [
        Feature(f"{part}_{statistic}_{channel}", "L*a*b*", f"{part}: {words} of {name}", _CIELAB)
        for statistic, words in (("mean", "mean"), ("sd", "standard deviation"))
        for channel, name in names.items()
    ]


def _texture(part: str) -> list[Feature]:
    levels = f"of {LEVELS} levels of L* a pixel apart, mean of four directions"
    rows = [
        ("glcm_contrast", "", f"mean squared difference {levels}: 0 upwards", _HARALICK),
        ("glcm_correlation", "", f"correlation {levels}: −1 to 1", _HARALICK),
        ("glcm_energy", "", f"root of the angular second moment {levels}: 0 to 1, 1 for an even area", _HARALICK),
        ("glcm_homogeneity", "", f"inverse difference moment {levels}: 0 to 1, 1 for an even area", _HARALICK),
        ("lbp_entropy", "bits", "spread of local binary patterns (riu2, 8 neighbours, radius 1): 0 to 3.32", _OJALA),
        ("lbp_uniformity", "", "sum of squared shares of local binary patterns: 0.1 to 1", _OJALA),
    ]
    return [Feature(f"{part}_{name}", unit, f"{part}: {meaning}", reference) for name, unit, meaning, reference in rows]


FEATURES: tuple[Feature, ...] = (
    *_shape("cell"),
    *_shape("nucleus"),
    Feature("nc_ratio", "", "nucleus : cytoplasm, ratio of their areas: 0 upwards", _MOHAPATRA),
    Feature("nucleus_share", "", "area of the nucleus over area of the cell: 0 to 1", _MOHAPATRA),
    Feature("lobes", "", "number of lobes of the nucleus: separate peaks of the distance to its edge", _SOILLE),
    Feature(
        "indentation",
        "",
        "depth of the deepest dent below the convex hull over the equivalent diameter of the nucleus",
        _ZHANG,
    ),
    Feature(
        "contour_dimension",
        "",
        "Hausdorff dimension of the nucleus' outline, by box counting: 1 to 2",
        _LIEBOVITCH,
    ),
    Feature("signature_variance", "", "variance of the contour signature: 0 for a disc", _MOHAPATRA),
    Feature(
        "signature_skewness", "", "skewness of the contour signature: positive with a few distant points", _MOHAPATRA
    ),
    Feature(
        "signature_kurtosis", "", "kurtosis of the contour signature: 3 for normally distributed values", _MOHAPATRA
    ),
    *(
        Feature(f"fourier_{k}", "", f"Fourier descriptor {k} of the contour signature: {k} waves per turn", _ZHANG)
        for k in range(1, DESCRIPTORS + 1)
    ),
    *_colour("nucleus"),
    *_colour("cytoplasm"),
    Feature("contrast_l", "L*a*b*", "L* of the cytoplasm − L* of the nucleus (means)", _CIELAB),
    Feature("contrast_colour", "L*a*b*", "distance of the mean colours of nucleus and cytoplasm (ΔE*ab)", _CIELAB),
    *_texture("nucleus"),
    *_texture("cytoplasm"),
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
SHAPES = NAMES[: NAMES.index("lobes") + 1]  # these need no colour and no contour signature


_DOCUMENT = f"""# Features of a white cell

Generated from `leuko/cells/features/catalogue.py` by
`python -m leuko.cells.features.catalogue > docs/morphology.md`.

- **Units.** Lengths are in µm where the scale of the image is known, and in pixels where it is not: never mix the two
  in one table. Features without a unit are the same at any scale, if the pixels are fine enough.
- **Perimeter.** The chain of border pixels is smoothed over about two pixels without shrinking, and moved out to the
  pixels' outer edge, to correct for the staircase and for the half pixel. The form factor of a digital disc is 1 to
  within 1 % from a radius of 6 pixels on. Detail finer than about two pixels is lost, and a sharp corner is cut by a
  fraction of a pixel. Holes have no outline. Parts under 2 % of the largest have none either, but belong to the area.
- **Nuclei in several parts.** Area, perimeter, axes and hull are of all parts together, the indentation is the deepest
  of any part, and the contour signature is that of the largest part. Lobes are counted over all parts.
- **Dimension.** Boxes from 1/32 to 1/4 of the nucleus' largest calliper diameter, on the border pixels as they are. Few
  pixels show little roughness: Koch's snowflake (1.26) measures 1.24 at 690 pixels across, 1.21 at 170, 1.15 at 90 and
  1.08 at 50. A smooth outline measures 0.97 to 1.01 at any size. Compare nuclei of similar resolution.
- **Contour signature.** The distance of the outline from its centre of area, at 128 equal steps along the outline,
  divided by its mean. Its features do not change when a nucleus is rotated, moved or scaled.
- **Colour and texture** are measured at {TEXTURE_UM} µm per pixel where the image is finer than that, and otherwise (or
  without a known scale) at its own pixels: compare textures of unknown scale only within one source of images. Pairs of
  pixels and neighbourhoods lie completely inside the nucleus or the cytoplasm.
- **Missing values.** A cell without a visible nucleus or cytoplasm has no value for it: NaN in tables, null in JSON.
  Its area is 0.
- **Cells cut by the border** (`touches_border`) are measured as far as they are visible: their shape is incomplete.

| name | unit | meaning | reference |
|---|---|---|---|
"""


def document() -> str:
    """The table of features as Markdown: `docs/morphology.md`."""
    rows = (f"| `{f.name}` | {f.unit or '–'} | {f.meaning} | {f.reference} |\n" for f in FEATURES)
    return _DOCUMENT + "".join(rows)


if __name__ == "__main__":
    print(document(), end="")
