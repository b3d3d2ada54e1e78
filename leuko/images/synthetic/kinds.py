"""Kinds of white cells that can be rendered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CellKind:
    """The properties of one kind of white cell; values are drawn evenly from ranges."""

    diameter_um: tuple[float, float]
    nucleus: tuple[float, float]  # its diameter (of a disc as large, if lobed) as a share of the cell's
    notch: tuple[float, float]  # depth of the dent in the nucleus as a share of its radius
    unevenness: float  # of the cell's outline as a share of its radius
    chromatin: tuple[float, float, float]  # amount, contrast, grain in µm
    cytoplasm: tuple[float, float, float]  # dye amounts
    lobes: tuple[int, int] = (1, 1)
    nucleoli: tuple[int, int] = (0, 0)
    granules: tuple[float, float, float] = (0, 0, 0)  # dye amounts of one granule
    granule_tint: tuple[float, float, float] = (0, 0, 0)  # absorbance of red, green and blue of one granule
    granule_um: float = 0.5
    granule_cover: float = 0  # share of the cytoplasm that granules cover; none if 0
    granules_over_nucleus: bool = False
    vacuoles: int = 0  # at most


KINDS = {
    "blast": CellKind((12, 18), (0.84, 0.93), (0, 0.3), 0.035, (0.85, 0.12, 0.3), (0, 0.1, 1), nucleoli=(1, 3)),
    "lymphocyte": CellKind((8, 10), (0.84, 0.92), (0, 0.1), 0.02, (1.1, 0.16, 0.5), (0, 0, 0.5)),
    "neutrophil": CellKind((12, 14), (0.64, 0.72), (0, 0.2), 0.02, (1, 0.18, 0.45), (0.3, 0.1, 0), lobes=(3, 5)),
    "monocyte": CellKind((14, 18), (0.68, 0.76), (0.35, 0.6), 0.04, (0.85, 0.2, 0.5), (0.3, 0, 0.4)),
    "band_neutrophil": CellKind((12, 15), (0.64, 0.74), (0, 0.2), 0.02, (1, 0.2, 0.4), (0.3, 0.1, 0), lobes=(7, 8)),
    "eosinophil": CellKind(
        (12, 16),
        (0.58, 0.7),
        (0, 0.2),
        0.025,
        (1, 0.18, 0.45),
        (0.4, 0, 0.05),
        lobes=(2, 3),
        granules=(0.8, 0, 0),
        granule_tint=(0, 0.2, 0.35),
        granule_um=0.7,
        granule_cover=0.6,
    ),
    "basophil": CellKind(
        (10, 14),
        (0.65, 0.8),
        (0, 0.3),
        0.03,
        (0.75, 0.15, 0.5),
        (0.2, 0.15, 0.1),
        lobes=(2, 3),
        granules=(0.1, 1.3, 0.4),
        granule_um=1,
        granule_cover=0.4,
        granules_over_nucleus=True,
    ),
    "immature_granulocyte": CellKind(
        (14, 21),
        (0.66, 0.82),
        (0, 0.6),
        0.035,
        (0.85, 0.18, 0.35),
        (0.25, 0.05, 0.3),
        nucleoli=(0, 2),
        granules=(0.3, 0.6, 0),
        granule_um=0.4,
        granule_cover=0.2,
    ),
    "erythroblast": CellKind((8, 12), (0.5, 0.68), (0, 0.1), 0.03, (1.35, 0.14, 0.5), (0.6, 0, 0.25)),
    "large_blast": CellKind(
        (14, 22),
        (0.68, 0.84),
        (0, 0.5),
        0.05,
        (0.8, 0.14, 0.3),
        (0, 0.1, 0.9),
        nucleoli=(1, 4),
        vacuoles=6,
    ),
    "reactive_lymphocyte": CellKind((10, 18), (0.6, 0.78), (0, 0.35), 0.07, (0.95, 0.16, 0.5), (0, 0, 0.5), vacuoles=2),
    "plasma_cell": CellKind((12, 18), (0.45, 0.6), (0, 0.1), 0.05, (1.1, 0.22, 0.7), (0.1, 0.1, 1.1), vacuoles=3),
}
