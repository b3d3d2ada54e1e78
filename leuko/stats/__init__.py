"""Statistics: confidence intervals, paired tests, and metrics of ranking and calibration."""
