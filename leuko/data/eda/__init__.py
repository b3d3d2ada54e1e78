"""The data report: one pass over the images, plots, galleries, and sentences that say what they show."""
