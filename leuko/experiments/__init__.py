"""Experiments: hyperparameter search, comparison of methods, ablation."""
