"""Segmentation by a network that learnt from several laboratories and from drawn smears."""
