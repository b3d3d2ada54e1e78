"""Speed, beside what people would use instead.

    python -m benchmarks.speed ../shared/data            # the whole table, about half an hour on two cores
    python -m benchmarks.speed ../shared/data --only explain batch

Ours and the peer run in processes of their own, by turns, with the same weights, threads, precision (float32) and
outputs; all four are checked. The results go to benchmarks/results/speed.json.
"""
