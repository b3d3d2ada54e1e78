"""Segmentation of white cells, red cells and platelets."""
