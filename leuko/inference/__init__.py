"""Inference: from an image to a finding."""
