"""Scripts that build what the repository holds: the embedded model, ImageNet weights, the example image."""
