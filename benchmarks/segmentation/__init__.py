"""Measure cell segmentation of real and drawn images, the methods beside each other.

    python -m benchmarks.segmentation ../shared/data [--methods fuzzy learned] [--network FILE.onnx] [--only NAME …]
                                      [--output FILE.json] [--overlays DIR]

Every figure has a 95 % bootstrap interval over images. Parameters are chosen on images with even numbers, so figures
of odd ones are the result (`truth.is_odd`). With `--only`, the other sections of the output file are kept. With
`--overlays`, nothing is measured: pages with the outlines of a fixed choice of images are written, to be looked at.

| section | images | module |
|---|---|---|
| jtsc, bccd, recount, raabin, chula | masks, boxes and counts that are known | `known_cells` |
| changes, views | BCCD in other colours, brightness and sizes, or cropped | `changed_fields` |
| scale, singles, elsewhere | all folders: scale, cell in the middle, images that are no smears | `all_folders` |
| drawn | fields with exact truth, in 50 stains | `drawn_fields` |
| speed | milliseconds on all cores, peak memory | `speed` |

Accuracy is measured in two processes of one thread each; run the section `speed` on an idle machine.
"""
