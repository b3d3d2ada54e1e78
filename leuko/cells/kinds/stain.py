"""The stain of an image, and the map that turns it into the standard one.

Laboratories stain differently: nuclei are dark violet in one, magenta or pale blue in another. Nuclei and red cells are
in nearly every field. They show what the two dyes of a Romanowsky stain look like there. Dyes add up as optical
densities (Ruifrok & Johnston, Anal Quant Cytol Histol 2001), so one linear map of densities takes the colours of an
image's nuclei and red cells to standard ones. All other colours follow, and differences between kinds of cells stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Mean optical densities (natural logarithm; red, green, blue) of the nuclei and of the red cells of PBC.
STANDARD_NUCLEUS = np.array([1.06, 1.74, 0.39])
STANDARD_RED_CELL = np.array([0.195, 0.287, 0.173])
TYPICAL_DENSITY = 1.25  # length of the densities of nuclei: between pale laboratories (0.75) and dark ones (2.1)
RIDGE = 0.02  # how firmly the map keeps what the directions of two colours do not determine
MIN_PIXELS = 30  # fewer say nothing of a colour
LEAST_DENSITY = 0.2  # of nuclei: paler ones would be amplified to noise
DARKEST = 4.0  # grey level from which on optical densities are measured


@dataclass(frozen=True)
class Stain:
    """Mean optical densities, float, 3 (red, green, blue); None where too little was seen."""

    nucleus: np.ndarray | None
    red_cell: np.ndarray | None

    @classmethod
    def of(cls, pixels: np.ndarray, empty: np.ndarray, nuclei: np.ndarray, red_cells: np.ndarray) -> Stain:
        """The stain of an image.

        Args:
            pixels: uint8, H × W × 3, RGB.
            empty: float, 3, colour of the empty slide, above 0.
            nuclei, red_cells: bool, H × W.
        """

        def density(mask: np.ndarray) -> np.ndarray | None:
            found = pixels[mask]
            return None if len(found) < MIN_PIXELS else optical_density(found, empty).mean(axis=0)

        return cls(density(nuclei), density(red_cells))

    def to_standard(self) -> np.ndarray:
        """The map of optical densities to the standard stain, float, 3 × 3: `density @ map.T`.

        It turns the hues of nuclei and red cells into the standard ones. One factor halves the difference of the
        nuclei's darkness from a typical one, on a scale of logarithms: in part it tells the laboratory, in part the
        kind of cell. How dark red cells are beside nuclei stays, since that depends on their haemoglobin, too.
        """
        if self.nucleus is None:
            return np.eye(3)
        gain = np.sqrt(TYPICAL_DENSITY / max(float(np.linalg.norm(self.nucleus)), LEAST_DENSITY))
        red_cell = STANDARD_RED_CELL if self.red_cell is None else self.red_cell
        source = _directions(self.nucleus, red_cell)
        target = _directions(STANDARD_NUCLEUS, STANDARD_RED_CELL)
        ridge = RIDGE * np.eye(3)
        return np.asarray(gain * (target.T @ source + ridge) @ np.linalg.inv(source.T @ source + ridge))


def optical_density(pixels: np.ndarray, empty: np.ndarray | float = 255.0) -> np.ndarray:
    """Natural logarithm of how much less light there is than on the empty slide; of grey levels, any shape × 3."""
    return -np.log(np.maximum(pixels, DARKEST) / empty)


def in_standard(pixels: np.ndarray, to_standard: np.ndarray) -> np.ndarray:
    """Pixels on white, uint8, any shape × 3, RGB, in the standard stain, see `Stain.to_standard`."""
    density = optical_density(pixels).astype(np.float32) @ to_standard.T.astype(np.float32)
    return np.clip(255 * np.exp(-density), 0, 255).astype(np.uint8)


def _directions(nucleus: np.ndarray, red_cell: np.ndarray) -> np.ndarray:
    """Of length 1, float, 2 × 3."""
    rows = np.stack([nucleus, red_cell])
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6))
