"""Decision: calibration, out-of-distribution detection, the cell-based score, and their fusion."""
