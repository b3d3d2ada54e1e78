"""What kind each white cell is: a network on crops of one scale, and conformal sets that say when it is unknown."""

from leuko.cells.kinds.classify import CellKinds, classify

__all__ = ["CellKinds", "classify"]
