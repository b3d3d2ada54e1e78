"""Fit the weights of the cell-based score, and measure scores and findings in other laboratories.

    python -m benchmarks.elsewhere fit ../shared/data --run RUN       print the weights of leuko.decision.cell_score
    python -m benchmarks.elsewhere scale ../shared/data --model DIR   add the scale to a model folder without scale
    python -m benchmarks.elsewhere measure ../shared/data --run RUN   write results/elsewhere.json

RUN is the folder of `leuko train-kinds`: its fold networks judge the cells of fields that the kinds were trained on.
The weights are fitted on the embedded model's training part of Aria and on the even-numbered BCCD fields. All other
choices use its validation part. Results are for its test part and the odd-numbered BCCD fields. No data of another
laboratory with leukaemia are available. Aria's test fields in three foreign stains, at half and at double size, are
used instead.
"""
