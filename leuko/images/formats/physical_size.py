"""The physical size of a pixel, from the metadata of a file."""

from __future__ import annotations

_PLAUSIBLE_UM = (0.02, 1.0)  # range for microscope fields with visible cells; 300 dpi (print) is 85 µm
_MAX_ASPECT = 1.05  # largest ratio of the sides of a pixel; all cameras have nearly square pixels
_MICROMETRES = {
    "nm": 1e-3,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "um": 1.0,
    "µm": 1.0,  # micro sign
    "μm": 1.0,  # Greek mu
    "\\u00b5m": 1.0,  # as written by ImageJ
    "mm": 1e3,
    "cm": 1e4,
    "inch": 25_400.0,
    "m": 1e6,
}


def micrometres(unit: str) -> float | None:
    """The length of a unit in µm; None if it is not a unit of length."""
    return _MICROMETRES.get(unit.strip().lower())


def plausible(x_um: float | None, y_um: float | None) -> float | None:
    """The size of a pixel in µm from its stated width and height, if it is plausible.

    Returns:
        The geometric mean of both. None if one is missing, if they differ by over 5 %, or if cells are not visible at
        this size (outside of 0.02 to 1 µm), such as 72, 96 or 300 dots per inch for print.
    """
    if not x_um or not y_um or not (0 < x_um < 1e9 and 0 < y_um < 1e9):
        return None
    if max(x_um, y_um) > _MAX_ASPECT * min(x_um, y_um):
        return None
    size = (x_um * y_um) ** 0.5
    return size if _PLAUSIBLE_UM[0] <= size <= _PLAUSIBLE_UM[1] else None


def from_density(per_unit: tuple[float, float] | None, unit: str = "inch") -> float | None:
    """The size of a pixel in µm, if plausible, from horizontal and vertical pixels per unit of length."""
    length = micrometres(unit)
    if per_unit is None or length is None:
        return None
    try:
        x, y = (float(value) for value in per_unit)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return plausible(length / x, length / y) if x > 0 and y > 0 else None
