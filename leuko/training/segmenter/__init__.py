"""Training of the segmentation network: sources, labels by a teacher, views, loss, rounds, export."""
