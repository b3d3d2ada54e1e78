"""Sentences that say what the plots show and what follows, each computed from the figures."""

from __future__ import annotations

from typing import Any, NamedTuple

LARGE = 0.14  # of the variance explained: a large effect (Cohen, Statistical Power Analysis, 1988, section 8.2)
KINDS = {
    "unreadable": "cannot be read",
    "wrong-suffix": "another format than its name says",
    "too-small": "too small",
    "dark": "too dark",
    "over-exposed": "over-exposed",
    "blank": "almost blank",
    "no-colour": "without colour",
    "blurred": "out of focus",
    "not-a-smear": "not a smear",
    "exact-duplicate": "exact duplicate",
    "near-duplicate": "near-duplicate",
    "two-labels": "one picture, two labels",
    "outlier": "unlike its class",
    "label-error": "label in doubt",
}
UNFIT = ("unreadable", "wrong-suffix", "too-small", "dark", "over-exposed", "blank", "no-colour", "blurred")
UNFIT += ("not-a-smear",)
SERIES = 12  # shown of the file-order plots
LINES = 100  # of the table of unfit files
Figures = dict[str, Any]


class Point(NamedTuple):
    """Something that deserves attention: how much (higher is worse), what, and the section that shows it."""

    weight: float
    text: str
    section: str


def percent(share: float) -> str:
    """A share, 0 to 1, as a whole number of percent with a space that does not break."""
    return f"{100 * share:.0f}\u00a0%"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 image, 2,768 images."""
    return f"{number:,}\u00a0{one if number == 1 else many or one + 's'}"


def listed(names: list[str]) -> str:
    """Names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def classes(f: Figures) -> list[str]:
    """On the number of images of each class."""
    ordered = sorted(f["classes"].items(), key=lambda item: -item[1])
    (largest, most), (smallest, least) = ordered[0], ordered[-1]
    said = [
        f"The data set has {count(f['images'], 'image')} in {count(len(ordered), 'class', 'classes')}. The largest, "
        f"{largest}, has {most:,}, the smallest, {smallest}, {least:,}: {f['imbalance']:.1f} times fewer.",
        f"A program that always answered “{largest}” would be right for {percent(most / f['images'])} of the images: "
        "any accuracy has to be read against that.",
    ]
    if f["imbalance"] < 1.5:
        said.append("The classes are nearly balanced, so nothing needs to be done about it.")
    else:
        said.append(
            f"The imbalance is {'mild' if f['imbalance'] < 3 else 'strong'}: judge a model by macro-F1, which counts "
            f"every class alike, and consider train.py --balance weights, so that {smallest} is not neglected."
        )
    only = _single_source(f)
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
    return [
        "Each curve says how much of an average image of its class has which brightness, from black to white. Where "
        "the curves of two classes lie apart, their stain or light differs.",
        f"Of nine colour statistics, “{name}” differs most between classes: {percent(share)} of its variation lies "
        f"between them, the rest within. {verdict}",
    ]


def mean_images(f: Figures) -> list[str]:
    """On the mean images, and burned-in writing."""
    written = f["captions"]
    high, low = max(written, key=written.get), min(written, key=written.get)
    local = f["means"]
    said = [
        "The upper row is the average of all images of a class; cells lie anywhere and average out, so what stays is "
        "stain, light, and whatever is always in one place. The lower row shows, exaggerated "
        f"{local['gain']:.0f} times, how each differs from the average of the classes.",
        f"Apart from their overall colour the averages differ most {local['place']}, by "
        f"{local['difference']:.0f} of 255 brightness steps.",
    ]
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
                else "That hardly differs between the classes."
            )
        )
    return said


def correlations(f: Figures) -> list[str]:
    """On the heat map."""
    names, matrix = f["colours"]["statistics"], f["colours"]["correlations"]
    pairs = [(matrix[i][j], names[i], names[j]) for i in range(9) for j in range(i)]
    value, one, other = max(pairs, key=lambda pair: abs(pair[0]))
    strong = sum(abs(pair[0]) >= 0.8 for pair in pairs)
    return [
        "Each cell says how two colour statistics go together over all images: 1 means they rise together, −1 that "
        "one falls as the other rises, 0 that they have nothing to do with one another. Mean is the average "
        "brightness of a colour, spread its contrast, skew whether dark or bright pixels are the rare ones.",
        f"The closest pair is “{other}” and “{one}” ({value:.2f}); {strong} of {len(pairs)} pairs reach 0.8. "
        + (
            "So the nine say much the same, that is, how dark and how strongly stained the image is."
            if strong >= 5
            else "So most of the nine say something of their own."
        ),
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
    for s in series[:SERIES]:
        turns = f"files of {s['period']} origins take turns; " if s["period"] > 1 else ""
        said.append(
            f"{s['name']}: {turns}colours stay alike over about {s['reach']:,} files. Blocks of {s['block']:,} files"
            + (
                ", with " + count(s["gap"], "file") + " left free where parts of a split meet."
                if s["block"] >= s["reach"]
                else " were chosen, since longer ones would be too few to split; likeness reaches beyond them, so that "
                f"some leakage remains in spite of {count(s['gap'], 'file')} left free where parts of a split meet."
            )
        )
    return [*said, follows]


def audit(f: Figures) -> list[str]:
    """On the shortcut audit."""
    views, majority = f["audit"]["views"], f["audit"]["majority"]
    if not views:
        return ["There are too few images, or too few groups of a class, to try how far shortcuts lead."]
    best = max(views, key=lambda view: views[view]["grouped"]["accuracy"])
    grouped, random = views[best]["grouped"], views[best]["random"]
    return [
        "Can the class be told without looking at a single cell? Here it is guessed from a part of the image that "
        "should tell nothing, by looking up the five most similar other images. Whatever such a guess gets right, a "
        "network can get right by the same shortcut, and it will fail on the slides of another laboratory.",
        f"The best of these guesses, from the {best} alone, is right for {percent(grouped['accuracy'])} of "
        f"{count(f['audit']['images'], 'image')} (95 % interval {percent(grouped['low'])} to "
        f"{percent(grouped['high'])}), where always answering the commonest class gives {percent(majority)}. "
        + (
            "A network's accuracy means something only by how far it exceeds that figure."
            if grouped["low"] > majority + 0.1
            else "That is hardly better, so these shortcuts do not explain what a network gets right."
        ),
        f"Grouped splits keep images that belong together on one side; random splits do not, and give "
        f"{percent(random['accuracy'])} for the same guess. "
        + (
            f"The difference of {100 * (random['accuracy'] - grouped['accuracy']):.0f} points is what a random split "
            "would add by leakage alone."
            if random["accuracy"] - grouped["accuracy"] >= 0.015
            else "The two hardly differ for this guess."
        ),
    ]


def exact(f: Figures) -> list[str]:
    """On the exact duplicates."""
    if not (number := f["duplicates"]["exact_sets"]):
        return ["No two files show exactly the same pixels."]
    return [
        f"In {count(number, 'set')} two or more files show exactly the same pixels. A copy adds nothing to learn from, "
        "and gives a figure away if one copy is in training and the other in test."
    ]


def near(f: Figures, number: int) -> list[str]:
    """On the near-duplicates in `number` sets beyond the exact ones."""
    if not number:
        return ["Beyond exact copies, no files were found that show the same picture."]
    said = [
        f"In {count(number, 'set')} files show the same picture although their pixels differ: another size or quality, "
        "a slight crop, turned or mirrored. Deep Leuko keeps them on the same side of every split.",
    ]
    if number := f["findings"].get("two-labels"):
        said.append(f"{count(number, 'image')} of a repeated picture stand under different labels; one must be wrong.")
    return said


def labels(f: Figures) -> list[str]:
    """On the labels in doubt."""
    if not (number := f["findings"].get("label-error")):
        return ["No label looks wrong to a classifier that has not seen the image."]
    return [
        f"{count(number, 'label')} ({percent(number / f['images'])}) look wrong: a simple classifier on deep features "
        "that had not seen the image is sure of another class. It may be the classifier that errs; someone who knows "
        "the cells should look at each. Nothing is relabelled."
    ]


def outliers(f: Figures) -> list[str]:
    """On the outliers."""
    if not (number := f["findings"].get("outlier")):
        return ["No image lies far from all others of its class."]
    return [
        f"{count(number, 'image')} lie far from the others of their class in deep features: another stain or scale, an "
        "artefact, or a rare but true picture. They are shown for you to judge, the farthest first."
    ]


def unfit(f: Figures) -> list[str]:
    """On files that cannot be read or judged."""
    if not (number := sum(f["findings"].get(kind, 0) for kind in UNFIT)):
        return ["Every file can be read, and every image is large, bright and sharp enough to be judged."]
    kinds = [f"{KINDS[kind]}: {f['findings'][kind]:,}" for kind in UNFIT if f["findings"].get(kind)]
    said = [
        f"{count(number, 'finding')} ({'; '.join(kinds)}). Nothing on disk is changed; training leaves out what is "
        "dropped."
    ]
    if number > LINES:
        said.append(f"The table shows the first {LINES}; cleaning.json names them all.")
    return said


def samples(f: Figures) -> list[str]:
    """On the random samples."""
    return ["Drawn at random from each class, always the same ones: to see for yourself what the data look like."]


def attention(f: Figures) -> list[Point]:
    """What deserves attention, the most important first."""
    found = f["findings"]
    points = []
    views, majority = f["audit"]["views"], f["audit"]["majority"]
    best = max(views, key=lambda view: views[view]["grouped"]["accuracy"], default=None)
    if best and (right := views[best]["grouped"]["accuracy"]) > majority + 0.1:
        points.append(
            Point(
                80 * right,
                f"The {best} alone gives the class away in {percent(right)} of the images (commonest class: "
                f"{percent(majority)}). High accuracy on these data does not show that a network looks at cells.",
                "audit",
            )
        )
    if only := _single_source(f):
        points.append(
            Point(
                90,
                f"{listed(list(only))} {'come' if len(only) > 1 else 'comes'} from one source only, so that a network "
                "may learn the source in place of the class.",
                "classes",
            )
        )
    if number := found.get("two-labels"):
        points.append(
            Point(85, f"{count(number, 'image')} show a picture that also stands under another label.", "near")
        )
    if number := found.get("unreadable"):
        points.append(Point(75, f"{count(number, 'file')} cannot be read.", "unfit"))
    if number := sum(found.get(kind, 0) for kind in UNFIT if kind != "unreadable"):
        points.append(Point(40, f"{count(number, 'image')} may be unfit to learn from (dark, blurred, …).", "unfit"))
    if number := f["duplicates"]["images_in_near_sets"]:
        points.append(
            Point(
                60,
                f"{count(number, 'image')} show a picture that is in the data more than once "
                f"({count(f['duplicates']['exact_sets'], 'set')} of exact copies). Copies in training and test make "
                "any figure too good; Deep Leuko keeps them on one side.",
                "near",
            )
        )
    if number := found.get("label-error"):
        points.append(
            Point(
                50 + 100 * number / f["images"], f"{count(number, 'label')} look wrong and should be checked.", "labels"
            )
        )
    if f["imbalance"] >= 1.5:
        points.append(Point(15 * min(f["imbalance"], 5), classes(f)[2], "classes"))
    if not f["groups"]["given"]:
        points.append(
            Point(
                55,
                "The data do not say which images are of one patient. Files that stand side by side are kept together "
                "instead; that is a guess. Give --group-column if you have the patients.",
                "order",
            )
        )
    if number := found.get("outlier"):
        points.append(Point(20, f"{count(number, 'image')} look unlike the rest of their class.", "outliers"))
    return sorted(points, key=lambda point: -point.weight)


def _single_source(f: Figures) -> dict[str, str]:
    if len(f["sources"]) < 2:
        return {}
    holders = {name: [s for s, counts in f["sources"].items() if counts[name]] for name in f["classes"]}
    return {name: held[0] for name, held in holders.items() if len(held) == 1}


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
    return [f"Drawn are {f['drawn']:,} of {f['readable']:,} images, chosen at random."]
