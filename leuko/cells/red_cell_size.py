"""The size of a human red cell, which is about the same in everybody and gives every field its scale."""

from __future__ import annotations

import numpy as np

RED_CELL_DIAMETER_UM = 7.5  # Bain, Blood Cells: A Practical Guide
RED_CELL_AREA_UM2 = np.pi / 4 * RED_CELL_DIAMETER_UM**2
