"""The parts of the data report: which plots, galleries and sentences stand together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from leuko.reports.eda import captions, findings, galleries, phrases, plots, point_plots
from leuko.reports.eda.dataset_profile import DatasetProfile, Projection
from leuko.reports.eda.galleries import Gallery
from leuko.reports.eda.phrases import count


@dataclass(frozen=True)
class Plot:
    """A plot: its name on disk, its PNG, and what it shows for those who cannot see it."""

    name: str
    png: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The PNG as a data URI."""
        return galleries.data_uri(self.png, "png")


@dataclass(frozen=True)
class Section:
    """A part of the page; `table` has its head as first line."""

    key: str
    title: str
    sentences: list[str]
    plots: tuple[Plot, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


_LENGTHS = ("reach", "block", "gap")


def build(survey: DatasetProfile, f: dict[str, Any]) -> list[Section]:
    """All parts of the report of a survey with the figures `f` (`leuko.reports.eda.figures.compute`), in order."""
    return [*_plotted(survey, f), *_shown(survey, f)]


def _plotted(survey: DatasetProfile, f: dict[str, Any]) -> list[Section]:
    records, classes = survey.records, survey.classes
    present = [int(c) for c in np.unique(survey.labels[survey.readable])]
    table = np.array([list(counts.values()) for counts in f["sources"].values()]).T
    statistics = f["colours"]["statistics"]
    drawn = survey.projections["colour"].rows
    red, blue = records.colours[drawn, 0], records.colours[drawn, 2]
    light, contrast = records.colours[drawn, :3].mean(axis=1), records.colours[drawn, 3:6].mean(axis=1)
    panels = (
        ("Red and blue", np.stack([red, blue], axis=1), "mean red", "mean blue"),
        ("Light and contrast", np.stack([light, contrast], axis=1), "mean brightness", "mean spread"),
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
            plots.class_counts(table, classes, survey.sources),
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
            point_plots.scatter(panels, survey.labels[drawn], classes),
            "Points: images by mean red and blue, and by brightness and contrast, coloured by class",
        ),
        section(
            "pca-colour",
            "Map of the colour statistics",
            captions.projection(f, "colour"),
            _map(survey, survey.projections["colour"]),
            "Points: images by the first two principal components of their colour statistics",
        ),
        section(
            "pca-deep",
            "Map of the deep features",
            captions.projection(f, "deep"),
            _map(survey, survey.projections["deep"]),
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


def _map(survey: DatasetProfile, projection: Projection) -> bytes:
    colourings = [("By class", survey.labels[projection.rows], survey.classes)]
    if len(survey.sources) > 1:
        colourings.append(("By source", survey.source[projection.rows], survey.sources))
    return point_plots.projection(projection.points, projection.shares, colourings)


def _order(f: dict[str, Any]) -> bytes | None:
    series = f["groups"]["series"][: captions.SERIES]
    shown = [(s["name"], np.array(s["autocorrelation"]), s["period"], s["chance"], s["block"]) for s in series]
    return plots.order(shown) if shown else None


def _blocks(f: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    series = f["groups"]["series"][: captions.SERIES]
    head = ("Series", "Files", "Origins that take turns", "Colours alike over", "Block", "Left free between parts")
    lines = [
        (s["name"], f"{s['files']:,}", f"{s['period']}", *(count(s[what], "file") for what in _LENGTHS)) for s in series
    ]
    return (head, *lines) if lines else ()


def _shown(survey: DatasetProfile, f: dict[str, Any]) -> list[Section]:
    found = survey.cleaning.duplicates
    exact = set(found.exact)
    near = [rows for rows in found.near if rows not in exact]
    overlapping = [(o.a, o.b) for o in found.overlaps]
    two = [rows for rows in found.near if len(np.unique(survey.labels[list(rows)])) > 1]

    def section(key: str, title: str, sentences: list[str], gallery: Gallery) -> Section:
        return Section(key, title, sentences, galleries=(gallery,))

    return [
        section("exact", "Exact duplicates", findings.exact(f), galleries.duplicates(survey, found.exact)),
        section("near", "Near-duplicates", findings.near(f, len(near)), galleries.duplicates(survey, near)),
        section("overlap", "Overlapping fields", findings.overlaps(f), galleries.duplicates(survey, overlapping)),
        section("two", "One picture, two labels", findings.two_labels(f), galleries.duplicates(survey, two)),
        section("labels", "Labels in doubt", findings.labels(f), galleries.labels_in_doubt(survey)),
        section("outliers", "Outliers", findings.outliers(f), galleries.outliers(survey)),
        Section("unfit", "Unfit and unreadable files", findings.unfit(f), table=_unfit(survey)),
        Section("samples", "Random samples", findings.samples(f), galleries=tuple(galleries.samples(survey))),
    ]


def _unfit(survey: DatasetProfile) -> tuple[tuple[str, ...], ...]:
    issues = [issue for issue in survey.cleaning.issues if issue.kind in phrases.UNFIT]
    lines = [(i.file, findings.KINDS[i.kind], i.action, i.message) for i in issues[: findings.LINES]]
    return (("File", "Finding", "Action", "Why"), *lines) if lines else ()
