"""The sections of the data report: which plots, galleries and sentences belong together."""

from __future__ import annotations

from typing import Any

import numpy as np

from leuko.reports.eda import captions, findings, galleries, plots, point_plots
from leuko.reports.eda.dataset_profile import DatasetProfile, Projection
from leuko.reports.eda.facts import QUALITY_ISSUES
from leuko.reports.html_report import Gallery, Plot, Section
from leuko.reports.wording import count

_LENGTHS = ("reach", "block", "gap")


def build(profile: DatasetProfile, f: dict[str, Any]) -> list[Section]:
    """All sections of the report, in order.

    Args:
        profile: the data set.
        f: its figures, from `leuko.reports.eda.figures.compute`.
    """
    return [*_plot_sections(profile, f), *_gallery_sections(profile, f)]


def _plot_sections(profile: DatasetProfile, f: dict[str, Any]) -> list[Section]:
    records, classes = profile.records, profile.classes
    present = [int(c) for c in np.unique(profile.labels[profile.readable])]
    table = np.array([list(counts.values()) for counts in f["sources"].values()]).T
    statistics = f["colours"]["statistics"]
    drawn = profile.projections["colour"].rows
    red, blue = records.colours[drawn, 0], records.colours[drawn, 2]
    brightness, contrast = records.colours[drawn, :3].mean(axis=1), records.colours[drawn, 3:6].mean(axis=1)
    panels = (
        ("Red and blue", np.stack([red, blue], axis=1), "mean red", "mean blue"),
        ("Brightness and contrast", np.stack([brightness, contrast], axis=1), "mean brightness", "mean spread"),
    )

    def section(
        key: str, title: str, sentences: list[str], png: bytes | None, alt: str, table: tuple[tuple[str, ...], ...] = ()
    ) -> Section:
        return Section(key, title, sentences, (Plot(key, png, alt),) if png else (), table=table)

    return [
        section(
            "classes",
            "Classes",
            captions.classes(f),
            plots.class_counts(table, classes, profile.sources),
            "Bars: number of images of each class",
        ),
        section(
            "sizes",
            "Image sizes",
            captions.sizes(f),
            plots.sizes(f["sizes"]["commonest"], classes),
            "Bars: number of images of each size, by class",
        ),
        section(
            "colours",
            "Colours",
            captions.colours(f),
            plots.histograms(records.histograms, classes, present),
            "Lines: histograms of red, green and blue brightness, one line for each class",
        ),
        section(
            "means",
            "Mean images",
            captions.mean_images(f),
            plots.mean_images(records.means, classes, present),
            "The mean image of each class, and its exaggerated difference from the mean of all",
        ),
        section(
            "correlations",
            "Correlations of the colour statistics",
            captions.correlations(f),
            plots.correlations(np.array(f["colours"]["correlations"]), statistics),
            "Heat map: correlation of each colour statistic with each other",
        ),
        section(
            "scatter",
            "Colour against colour",
            captions.scatter(f),
            point_plots.scatter(panels, profile.labels[drawn], classes),
            "Points: images by mean red and blue, and by brightness and contrast, coloured by class",
        ),
        section(
            "pca-colour",
            "Map of the colour statistics",
            captions.projection(f, "colour"),
            _map(profile, profile.projections["colour"]),
            "Points: images by the first two principal components of their colour statistics",
        ),
        section(
            "pca-deep",
            "Map of the deep features",
            captions.projection(f, "deep"),
            _map(profile, profile.projections["deep"]),
            "Points: images by the first two principal components of their deep features",
        ),
        section(
            "order",
            "File order and groups",
            captions.order(f),
            _order(f),
            "Lines: autocorrelation of the colours along the file order, with the chosen block length",
            _blocks(f),
        ),
        section(
            "audit",
            "Shortcut audit",
            captions.audit(f),
            plots.audit(f["audit"]["views"], f["audit"]["majority"]) if f["audit"]["views"] else None,
            "Points: accuracy of guesses from colours, border and corner alone, with random and grouped splits",
        ),
    ]


def _map(profile: DatasetProfile, projection: Projection) -> bytes:
    colourings = [("By class", profile.labels[projection.rows], profile.classes)]
    if len(profile.sources) > 1:
        colourings.append(("By source", profile.source[projection.rows], profile.sources))
    return point_plots.projection(projection.points, projection.shares, colourings)


def _order(f: dict[str, Any]) -> bytes | None:
    series = f["groups"]["series"][: captions.SERIES]
    shown = [(s["name"], np.array(s["autocorrelation"]), s["period"], s["chance"], s["block"]) for s in series]
    return plots.order(shown) if shown else None


def _blocks(f: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    series = f["groups"]["series"][: captions.SERIES]
    header = ("Series", "Files", "Alternating origins", "Colours alike over", "Block", "Gap between parts")
    lines = [
        (s["name"], f"{s['files']:,}", f"{s['period']}", *(count(s[what], "file") for what in _LENGTHS)) for s in series
    ]
    return (header, *lines) if lines else ()


def _gallery_sections(profile: DatasetProfile, f: dict[str, Any]) -> list[Section]:
    duplicates = profile.cleaning.duplicates
    exact = set(duplicates.exact)
    near = [rows for rows in duplicates.near if rows not in exact]
    overlapping = [(o.a, o.b) for o in duplicates.overlaps]
    two_labels = [rows for rows in duplicates.near if len(np.unique(profile.labels[list(rows)])) > 1]

    def section(key: str, title: str, sentences: list[str], gallery: Gallery) -> Section:
        return Section(key, title, sentences, galleries=(gallery,))

    return [
        section("exact", "Exact duplicates", findings.exact(f), galleries.duplicates(profile, duplicates.exact)),
        section("near", "Near-duplicates", findings.near(f, len(near)), galleries.duplicates(profile, near)),
        section("overlap", "Overlapping fields", findings.overlaps(f), galleries.duplicates(profile, overlapping)),
        section("two", "One image, two labels", findings.two_labels(f), galleries.duplicates(profile, two_labels)),
        section("labels", "Possible label errors", findings.labels(f), galleries.possible_label_errors(profile)),
        section("outliers", "Outliers", findings.outliers(f), galleries.outliers(profile)),
        Section("unfit", "Unusable and unreadable files", findings.unfit(f), table=_unusable(profile)),
        Section("samples", "Random samples", findings.samples(f), galleries=tuple(galleries.samples(profile))),
    ]


def _unusable(profile: DatasetProfile) -> tuple[tuple[str, ...], ...]:
    issues = [issue for issue in profile.cleaning.issues if issue.kind in QUALITY_ISSUES]
    lines = [(i.file, findings.KINDS[i.kind], i.action, i.message) for i in issues[: findings.MAX_ROWS]]
    return (("File", "Finding", "Action", "Why"), *lines) if lines else ()
