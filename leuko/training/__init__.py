"""Training: augmentation and fitting."""
