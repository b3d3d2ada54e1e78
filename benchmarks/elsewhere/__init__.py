"""Choose how cells are pooled for the cell-based score, and measure scores and findings in other laboratories.

    python -m benchmarks.elsewhere fit ../shared/data --run RUN       print the parameters of leuko.decision
    python -m benchmarks.elsewhere scale ../shared/data --model DIR   add the scale to a model folder without scale
    python -m benchmarks.elsewhere measure ../shared/data --run RUN   write results/elsewhere.json

RUN is the folder of `leuko train-kinds`: its networks judge the cells of fields that they have not seen.
The parameters are fitted on the embedded model's training part of Aria and on the even-numbered BCCD fields. All other
choices use its validation part. Results are for its test part and the odd-numbered BCCD fields. No data of another
laboratory with leukaemia are available. Aria's test fields in three foreign stains, at half and at double size, are
used instead.
"""
