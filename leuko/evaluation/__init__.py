"""Evaluation: figures with their uncertainty, and the model card made from them."""
