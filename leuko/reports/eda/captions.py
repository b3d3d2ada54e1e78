"""Sentences that say what the plots show and what follows, each computed from the figures."""

from __future__ import annotations

from leuko.reports.eda.phrases import ORDINALS, Figures, best_shortcut, count, interval, listed, percent, single_source
from leuko.reports.eda.plots import GAIN, SHOWN

LARGE = 0.14  # of the variance explained: a large effect (Cohen, Statistical Power Analysis, 1988, section 8.2)
VISIBLE = 8  # brightness steps of 255
FEW = 400  # images, whose mean still shows single cells
SERIES = 12  # shown of the file-order plots


def classes(f: Figures) -> list[str]:
    """On the number of images of each class."""
    ordered = sorted(f["classes"].items(), key=lambda item: -item[1])
    (largest, most), (smallest, least) = ordered[0], ordered[-1]
    spread = (
        f"each has {most:,}"
        if most == least
        else f"the largest, {largest}, has {most:,}, the smallest, {smallest}, {least:,}"
    )
    said = [
        f"The data set has {count(f['images'], 'image')} in {count(len(ordered), 'class', 'classes')}; {spread}.",
        f"A program that always answered “{largest}” would be right for {percent(most / f['images'])} of the images: "
        "any accuracy has to be read against that.",
    ]
    if f["imbalance"] < 1.5:
        said.append("The classes are nearly balanced, so nothing needs to be done about it.")
    else:
        said.append(
            f"{largest} has {f['imbalance']:.1f} times as many images as {smallest}, a "
            f"{'mild' if f['imbalance'] < 3 else 'strong'} imbalance: judge a model by macro-F1, which counts "
            f"every class alike, and consider train.py --balance weights, so that {smallest} is not neglected."
        )
    only = single_source(f)
    if only:
        said.append(f"In one source only: {', '.join(f'{name} ({source})' for name, source in only.items())}.")
    return said


def sizes(f: Figures) -> list[str]:
    """On width and height."""
    s = f["sizes"]
    if s["different"] == 1:
        w, h = s["smallest"]
        return [
            f"All {count(f['readable'], 'readable image')} measure {w} × {h} pixels: size tells nothing of the class."
        ]
    shape = "{} × {}".format
    said = [
        f"There are {s['different']:,} different sizes, from {shape(*s['smallest'])} to {shape(*s['largest'])} pixels. "
        "A network sees every image at one size, so images of other proportions are squashed."
    ]
    if s["others"]:
        said.append(f"The plot shows the {len(s['commonest'])} commonest; {count(s['others'], 'image')} are of others.")
    return said


def colours(f: Figures) -> list[str]:
    """On the colour histograms."""
    shares = f["colours"]["explained_by_class"]
    best = max(range(9), key=lambda i: shares[i])
    name, share = f["colours"]["statistics"][best], shares[best]
    verdict = (
        "That is much: stain and light go with the class, and a network may learn them in place of the cells. Vary "
        "the colours in training, and compare with the shortcut audit below."
        if share >= LARGE
        else "That is little: the classes are stained and lit alike."
    )
    clipped = f["colours"]["clipped"]
    white = max(clipped, key=lambda name: max(clipped[name]))
    return [
        "Each curve says how much of an average image of its class has which brightness, from black to white. Where "
        "the curves of two classes lie apart, their stain or light differs. "
        f"In {white}, {percent(max(clipped[white]))} of the pixels are at full brightness in "
        f"{('red', 'green', 'blue')[clipped[white].index(max(clipped[white]))]}, the most of all (such peaks at the "
        "end may leave the plot).",
        f"Of nine colour statistics, “{name}” differs most between classes: {percent(share)} of its variation lies "
        f"between them, the rest within. {verdict}",
    ]


def mean_images(f: Figures) -> list[str]:
    """On the mean images, and burned-in writing."""
    written = f["captions"]
    high, low = max(written, key=written.get), min(written, key=written.get)
    local = f["means"]
    said = [
        "Under each name is the average of all images of that class. What lies now here, now there averages out, so "
        "what stays is stain, light, and whatever is always in one place: dust on the camera, a scale bar, dark "
        f"corners, a cell in the middle. Below it is shown, {GAIN} times exaggerated, where the class differs from "
        "the others apart from its overall colour; even grey means that it does not.",
        f"Apart from their overall colour the averages differ most {local['place']}, by "
        f"{local['difference']:.0f} of 255 brightness steps.",
    ]
    if len(written) > SHOWN:
        said.append(f"Shown are the first {SHOWN} of {len(written)} classes.")
    few = [name for name, number in f["classes"].items() if 0 < number < FEW]
    if few:
        said.append(f"There are few images of {listed(few)}, so that single cells still show as speckle.")
    if written[high] < 0.02:
        said.append("Hardly any image bears burned-in writing (a scale bar, say) in a corner.")
    else:
        said.append(
            f"Burned-in writing, such as a scale bar, was found in a corner of {percent(written[low])} ({low}) to "
            f"{percent(written[high])} ({high}) of a class's images. "
            + (
                "That differs between classes, so a network could read it in place of the cells; train.py removes "
                "such bars and draws others at random."
                if written[high] - written[low] >= 0.1
                else "That hardly differs between the classes"
                + (", but how it looks does." if local["corner"] and local["difference"] >= VISIBLE else ".")
            )
        )
    return said


def correlations(f: Figures) -> list[str]:
    """On the heat map."""
    names, matrix = f["colours"]["statistics"], f["colours"]["correlations"]
    pairs = [(matrix[i][j], names[i], names[j]) for i in range(9) for j in range(i)]
    value, one, other = max(pairs, key=lambda pair: abs(pair[0]))
    strong = sum(abs(pair[0]) >= 0.8 for pair in pairs)
    if strong >= len(pairs) / 2:
        verdict = "So the nine say much the same: how dark and how strongly stained an image is."
    else:
        verdict = "So some of the nine say the same." if strong else "So each of the nine says something of its own."
    return [
        "Each cell says how two colour statistics go together over all images: 1 means they rise together, −1 that "
        "one falls as the other rises, 0 that they have nothing to do with one another. Mean is the average "
        "brightness of a colour, spread its contrast, skew whether dark or bright pixels are the rare ones.",
        f"The closest pair is “{other}” and “{one}” ({value:.2f}); {strong} of {len(pairs)} pairs reach 0.8, up "
        f"or down. {verdict}",
    ]


def scatter(f: Figures) -> list[str]:
    """On the scatter plots."""
    return [
        "Each point is an image. Clouds of one colour that stand apart mean that overall colour alone tells the "
        "classes apart; mixed clouds mean that it does not.",
        _neighbours(f, "colour", "class"),
        *_drawn(f),
    ]


def projection(f: Figures, kind: str) -> list[str]:
    """On a plot of principal components; `kind` is `colour` or `deep`."""
    shares = f["pca"][kind]
    what = {
        "colour": "the nine colour statistics",
        "deep": f"what the network {f['model']} makes of an image (its deep features)",
    }[kind]
    said = [
        f"Principal components draw {what} on a flat map so that as much as possible of the differences between "
        f"images is kept: here {percent(sum(shares))}.",
        _neighbours(f, kind, "class"),
    ]
    if len(f["sources"]) > 1:
        said.append(_neighbours(f, kind, "source"))
    if kind == "deep":
        said.append(
            "Should the network have learnt from these very images, they look more distinct here than new ones would."
        )
    return said + _drawn(f)


def order(f: Figures) -> list[str]:
    """On the autocorrelation along the file order, and the split that follows."""
    series = f["groups"]["series"]
    follows = (
        f"A split therefore moves whole groups, {f['groups']['count']:,} in all: {f['groups']['how']}. train.py does "
        "so by itself."
    )
    if not series:
        return [
            "The data name the patients, subjects or slides, so nothing has to be read from the file order.",
            follows,
        ]
    said = [
        "The data do not say which images are of one patient. But files of one patient, or of one slide, often stand "
        "side by side and share their stain. The curve says how alike the colours of two files are that stand so many "
        "files apart; in the grey band it is no more than chance, and there they may well be of different patients.",
    ]
    for period in sorted({s["period"] for s in series} - {1}):
        names = listed([s["name"] for s in series if s["period"] == period])
        said.append(f"In {names}, files of {period} origins take turns: every {ORDINALS[period]} file is alike.")
    if beyond := [s["name"] for s in series if s["block"] < s["reach"]]:
        said.append(
            f"In {listed(beyond)}, colours stay alike over more files than a block can hold (there must be ten blocks "
            "to choose from). Some leakage therefore remains there, in spite of the files left free between parts."
        )
    if len(series) > SERIES:
        said.append(f"Shown are the first {SERIES} of {len(series)} series; figures.json has them all.")
    return [*said, follows]


def audit(f: Figures) -> list[str]:
    """On the shortcut audit."""
    views, majority = f["audit"]["views"], f["audit"]["majority"]
    if not views:
        return ["There are too few images, or too few groups of a class, to try how far shortcuts lead."]
    best = best_shortcut(f)
    grouped, random = (views[best][kind]["accuracy"] for kind in ("grouped", "random"))
    return [
        "Can the class be told without looking at a single cell? Here it is guessed from what shows no cell's shape "
        "(overall colours, the blurred border, the blurred corner where scale bars stand), by looking up the five "
        "most similar other images. Whatever such a guess gets right, a "
        "network can get right by the same shortcut, and it will fail on the slides of another laboratory.",
        f"The best of these guesses, from the {best} alone, is right for {percent(grouped['value'])} of "
        f"{count(f['audit']['images'], 'image')}{' chosen at random' if f['audit']['images'] < f['kept'] else ''} "
        f"(95 % interval {interval(grouped['low'], grouped['high'])}), where always answering the "
        f"commonest class gives {percent(majority)}. "
        + (
            "A network's accuracy means something only by how far it exceeds that figure."
            if grouped["low"] > majority + 0.1
            else "That is hardly better, so these shortcuts do not explain what a network gets right."
        ),
        f"Grouped splits keep images that belong together on one side; random splits do not, and give "
        f"{percent(random['value'])} for the same guess. "
        + (
            f"The difference of {100 * (random['value'] - grouped['value']):.0f} points is what a random split "
            "would add by leakage alone."
            if random["value"] - grouped["value"] >= 0.015
            else "The two hardly differ for this guess."
        ),
    ]


def _neighbours(f: Figures, kind: str, by: str) -> str:
    n = f["neighbours"][kind][by]
    verdict = "far more than" if n["same"] > 0.5 * (1 + n["chance"]) else "more than" if n["same"] > n["chance"] else ""
    return (
        f"Of the five images most similar to an image in this respect, {percent(n['same'])} are of the same {by} on "
        f"average, {verdict or 'no more than'} the {percent(n['chance'])} that chance would give."
    )


def _drawn(f: Figures) -> list[str]:
    if f["drawn"] == f["readable"]:
        return []
    return [f"Of {f['readable']:,} images {f['drawn']:,}, chosen at random, are drawn and compared."]
