"""Image quality: whether an image is fit to judge, and whether it is a smear."""
