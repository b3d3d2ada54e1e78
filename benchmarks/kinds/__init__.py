"""Measure the kinds of white cells, at home and in laboratories that were never trained on.

    python -m benchmarks.kinds ../shared/data --run runs/kinds [--only home jhu …]

`--run` is the folder of `leuko train-kinds` that gave the shipped network: its fold networks judge cells of the
laboratories that it was trained on. Results go to `benchmarks/results/kinds.json`.
"""
