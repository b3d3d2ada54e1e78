"""Classes of a pixel, in the order of the segmentation network's outputs."""

BACKGROUND, RED_CELL, CYTOPLASM, NUCLEUS, PLATELET, SMUDGE = range(6)
CLASSES = ("background", "red cell", "cytoplasm", "nucleus", "platelet", "smudge cell")
OFFSET_UNIT_PX = 16.0  # of the network's offsets to the middle of a cell
