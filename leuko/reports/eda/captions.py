"""The text beside the plots of the data report: what they show and what follows, computed from the figures."""

from __future__ import annotations

from leuko.reports.eda.facts import Figures, best_shortcut, single_source
from leuko.reports.eda.plots import GAIN, MEAN_IMAGES
from leuko.reports.wording import ORDINALS, count, listed, percent, percent_interval

LARGE = 0.14  # of the variance explained: a large effect (Cohen, Statistical Power Analysis, 1988, section 8.2)
VISIBLE = 8  # brightness steps of 255: a difference that can be seen
FEW = 400  # images; in the mean of fewer, single cells can still be seen
SERIES = 12  # series shown in the file-order plots


def classes(f: Figures) -> list[str]:
    """The number of images of each class."""
    ordered = sorted(f["classes"].items(), key=lambda item: -item[1])
    (largest, most), (smallest, least) = ordered[0], ordered[-1]
    spread = (
        f"each has {most:,}"
        if most == least
        else f"the largest, {largest}, has {most:,}, the smallest, {smallest}, {least:,}"
    )
    text = [
        f"The data set has {count(f['images'], 'image')} in {count(len(ordered), 'class', 'classes')}; {spread}.",
        f"A program that always predicts “{largest}” is correct for {percent(most / f['images'])} of the images: "
        "compare every accuracy with that.",
    ]
    if f["imbalance"] < 1.5:
        text.append("The classes are nearly balanced; no balancing is needed.")
    else:
        text.append(
            f"{largest} has {f['imbalance']:.1f} times as many images as {smallest}, a "
            f"{'mild' if f['imbalance'] < 3 else 'strong'} imbalance: compare models by macro-F1, which gives "
            f"every class the same weight, and consider train.py --balance weights, so that {smallest} is not "
            "neglected."
        )
    only = single_source(f)
    if only:
        text.append(f"In one source only: {', '.join(f'{name} ({source})' for name, source in only.items())}.")
    return text


def sizes(f: Figures) -> list[str]:
    """Width and height of the images."""
    s = f["sizes"]
    if s["different"] == 1:
        w, h = s["smallest"]
        return [
            f"All {count(f['readable'], 'readable image')} measure {w} × {h} pixels, so the size gives no "
            "information about the class."
        ]
    shape = "{} × {}".format
    text = [
        f"There are {s['different']:,} different sizes, from {shape(*s['smallest'])} to {shape(*s['largest'])} pixels. "
        "A network gets all images in one size, so images of other proportions are squashed."
    ]
    if s["others"]:
        text.append(
            f"The plot shows the {len(s['commonest'])} most common sizes; {count(s['others'], 'image')} have "
            "other sizes."
        )
    return text


def colours(f: Figures) -> list[str]:
    """The colour histograms."""
    shares = f["colours"]["explained_by_class"]
    best = max(range(9), key=lambda i: shares[i])
    name, share = f["colours"]["statistics"][best], shares[best]
    verdict = (
        "This is a large effect: stain and light differ between the classes, and a network may learn them "
        "instead of the "
        "cells. Vary the colours in training, and compare with the shortcut audit below."
        if share >= LARGE
        else "This is a small effect: stain and light of the classes are similar."
    )
    clipped = f["colours"]["clipped"]
    white = max(clipped, key=lambda name: max(clipped[name]))
    return [
        "Each curve shows which share of an average image of its class has which brightness, from black to "
        "white. Where "
        "the curves of two classes differ, their stain or light differs. "
        f"In {white}, {percent(max(clipped[white]))} of the pixels are at full brightness in "
        f"{('red', 'green', 'blue')[clipped[white].index(max(clipped[white]))]}, the largest share of all classes "
        "(such peaks "
        "at the end may exceed the plot).",
        f"Of nine colour statistics, “{name}” differs most between classes: {percent(share)} of its variance lies "
        f"between the classes, the rest within them. {verdict}",
    ]


def mean_images(f: Figures) -> list[str]:
    """The mean images, and burned-in text."""
    shares = f["captions"]
    high, low = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
    local = f["means"]
    text = [
        "Below each name is the mean of all images of that class. Cells at changing positions average out; "
        "stain, light "
        "and everything with a fixed position remain: dust on the camera, a scale bar, dark corners, a cell in the "
        f"middle. The lower image shows, {GAIN} times exaggerated, where the class differs from the others apart from "
        "its overall colour; uniform grey means no difference.",
        f"Apart from their overall colour, the mean images differ most {local['place']}, by "
        f"{local['difference']:.0f} of 255 brightness steps.",
    ]
    if len(shares) > MEAN_IMAGES:
        text.append(f"Shown are the first {MEAN_IMAGES} of {len(shares)} classes.")
    few = [name for name, number in f["classes"].items() if 0 < number < FEW]
    if few:
        text.append(f"There are few images of {listed(few)}, so single cells can still be seen in their mean images.")
    if shares[high] < 0.02:
        text.append("Hardly any image has burned-in text, such as a scale bar, in a corner.")
    else:
        text.append(
            f"Burned-in text, such as a scale bar, was found in a corner of {percent(shares[low])} ({low}) to "
            f"{percent(shares[high])} ({high}) of a class's images. "
            + (
                "This share differs between classes, so a network could use the bars instead of the cells; "
                "train.py removes "
                "such bars and draws new ones at random."
                if shares[high] - shares[low] >= 0.1
                else "This share hardly differs between the classes"
                + (
                    ", but the appearance of the bars does."
                    if local["corner"] and local["difference"] >= VISIBLE
                    else "."
                )
            )
        )
    return text


def correlations(f: Figures) -> list[str]:
    """The correlations of the colour statistics."""
    names, matrix = f["colours"]["statistics"], f["colours"]["correlations"]
    pairs = [(matrix[i][j], names[i], names[j]) for i in range(9) for j in range(i)]
    value, one, other = max(pairs, key=lambda pair: abs(pair[0]))
    strong = sum(abs(pair[0]) >= 0.8 for pair in pairs)
    if strong >= len(pairs) / 2:
        verdict = "So most of the nine measure the same: how dark and how strongly stained an image is."
    else:
        verdict = (
            "So some of the nine measure the same." if strong else "So each of the nine measures something different."
        )
    return [
        "Each cell is the correlation of two colour statistics over all images: 1 means that they rise together, "
        "−1 that "
        "one falls as the other rises, 0 that they are unrelated. Mean is the average brightness of a colour, "
        "spread its "
        "contrast, and skew shows whether dark or bright pixels are the rare ones.",
        f"The closest pair is “{other}” and “{one}” ({value:.2f}); {strong} of {len(pairs)} pairs reach 0.8 or "
        f"−0.8. {verdict}",
    ]


def scatter(f: Figures) -> list[str]:
    """The scatter plots of colours."""
    return [
        "Each point is an image. Separate clouds mean that the overall colour alone distinguishes the classes; mixed "
        "clouds mean that it does not.",
        _neighbours(f, "colour", "class"),
        *_drawn(f),
    ]


def projection(f: Figures, kind: str) -> list[str]:
    """A plot of principal components; `kind` is `colour` or `deep`."""
    shares = f["pca"][kind]
    what = {
        "colour": "the nine colour statistics",
        "deep": f"the features that the network {f['model']} computes of an image (deep features)",
    }[kind]
    text = [
        f"Principal components show {what} on a flat map that keeps as much as possible of the variance between "
        f"images: here {percent(sum(shares))}.",
        _neighbours(f, kind, "class"),
    ]
    if len(f["sources"]) > 1:
        text.append(_neighbours(f, kind, "source"))
    if kind == "deep":
        text.append("If the network was trained on these images, they look more distinct here than new images would.")
    return text + _drawn(f)


def order(f: Figures) -> list[str]:
    """The autocorrelation along the file order, and the split that follows."""
    series = f["groups"]["series"]
    follows = (
        f"A split therefore keeps groups together, {f['groups']['count']:,} in all: {f['groups']['how']}. "
        "train.py does "
        "this by itself."
    )
    if not series:
        return [
            "The data name the patients, subjects or slides, so the file order is not needed.",
            follows,
        ]
    text = [
        "The data do not name the patient of an image. But files of one patient, or of one slide, are often "
        "neighbours and "
        "share their stain. The curve shows how similar the colours of two files are, by their distance in the file "
        "order. In the grey band the similarity is not above chance, and the files may be of different patients.",
    ]
    for period in sorted({s["period"] for s in series} - {1}):
        names = listed([s["name"] for s in series if s["period"] == period])
        text.append(f"In {names}, files of {period} origins alternate: every {ORDINALS[period]} file is similar.")
    if beyond := [s["name"] for s in series if s["block"] < s["reach"]]:
        text.append(
            f"In {listed(beyond)}, colours stay similar over more files than a block can hold (a split needs ten "
            "blocks). Some leakage therefore remains, in spite of the gap between the parts."
        )
    if len(series) > SERIES:
        text.append(f"Shown are the first {SERIES} of {len(series)} series; figures.json lists all.")
    return [*text, follows]


def audit(f: Figures) -> list[str]:
    """The shortcut audit."""
    views, majority = f["audit"]["views"], f["audit"]["majority"]
    if not views:
        return ["There are too few images, or too few groups of a class, for a shortcut audit."]
    best = best_shortcut(f)
    grouped, random = (views[best][kind]["accuracy"] for kind in ("grouped", "random"))
    return [
        "Can the class be predicted without any cell? Here it is predicted from views without cell shapes "
        "(overall colours, "
        "the blurred border, the blurred corner where scale bars stand), with the five most similar other images. A "
        "network can use the same shortcut, and will then fail on slides of another laboratory.",
        f"The best of these predictions, from the {best} alone, is correct for {percent(grouped['value'])} of "
        f"{count(f['audit']['images'], 'image')}{' chosen at random' if f['audit']['images'] < f['kept'] else ''} "
        f"(95 % interval {percent_interval(grouped['low'], grouped['high'])}), while always predicting the "
        f"most common class gives {percent(majority)}. "
        + (
            "Only the part of a network's accuracy above this figure shows that it uses cells."
            if grouped["low"] > majority + 0.1
            else "That is hardly better, so these shortcuts do not explain a network's accuracy."
        ),
        f"Grouped splits keep images of one group in one part; random splits do not, and give "
        f"{percent(random['value'])} for the same prediction. "
        + (
            f"The difference of {100 * (random['value'] - grouped['value']):.0f} points is the leakage of a "
            "random split."
            if random["value"] - grouped["value"] >= 0.015
            else "The two hardly differ here."
        ),
    ]


def _neighbours(f: Figures, kind: str, by: str) -> str:
    n = f["neighbours"][kind][by]
    verdict = "far more than" if n["same"] > 0.5 * (1 + n["chance"]) else "more than" if n["same"] > n["chance"] else ""
    return (
        f"On average, {percent(n['same'])} of the five most similar images are of the same {by}, "
        f"{verdict or 'not more than'} the {percent(n['chance'])} expected by chance."
    )


def _drawn(f: Figures) -> list[str]:
    if f["drawn"] == f["readable"]:
        return []
    return [f"Drawn and compared are {f['drawn']:,} of {f['readable']:,} images, chosen at random."]
