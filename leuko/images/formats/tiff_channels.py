"""Combine channels, planes and time points that ImageJ and OME-TIFF store as separate pages."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import numpy as np
import tifffile

from leuko.images.formats import physical_size
from leuko.images.formats.limits import ImageError

_COLOURS = ("red", "green", "blue")
_MAX_XML = 4 * 1024**2
_OME_RGBA = {0xFF0000: "red", 0x00FF00: "green", 0x0000FF: "blue"}


@dataclass(frozen=True)
class Layout:
    """Describes how the pages of a file are combined to pictures."""

    triples: list[tuple[int, int, int]] | None  # indices of the red, green and blue page of each picture
    um_per_px: float | None  # size of a pixel, if the metadata state a plausible one


def layout(file: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> Layout:
    """Find how the pages of a TIFF are combined to pictures, by the metadata of ImageJ or OME.

    Args:
        file: the open file.
        pages: its full pages, in order.

    Raises:
        ImageError: pages are channels that are not clearly red, green and blue, or pages are missing.
    """
    description = pages[0].description or file.pages.first.description
    if file.is_imagej:
        return _imagej(file, pages)
    if description.lstrip()[:1] == "<" and "<OME" in description[:2000]:
        return _ome(description, pages)
    return Layout(None, None)


def _imagej(file: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> Layout:
    told = file.imagej_metadata or {}
    size = None
    resolution = [file.pages.first.tags.valueof(tag) for tag in (282, 283)]
    if all(isinstance(value, tuple) and len(value) == 2 and value[1] for value in resolution):
        density = tuple(value[0] / value[1] for value in resolution)
        size = physical_size.from_density(density, str(told.get("unit", "")))
    images, count = _whole(told.get("images", 1)), _whole(told.get("channels", 1))
    if images > len(pages):
        raise ImageError(
            f"ImageJ says that the file holds {images} images, but it has {len(pages)} pages; save them again."
        )
    labels = [str(label).strip().lower() for label in told.get("Labels") or []]
    if count == 1 and len(pages) == 3 and tuple(labels[:3]) == _COLOURS:  # an "RGB stack" of ImageJ
        count = 3
    if count == 1 or pages[0].samplesperpixel > 1:
        return Layout(None, size)
    names = [_colour_of_table(table) for table in told.get("LUTs") or []]
    if not names and told.get("mode") == "composite" and count == 3:
        names = list(_COLOURS)  # the default colours of the channels of an ImageJ composite
    if set(labels[:count]) == set(_COLOURS):
        names = labels
    return Layout(_triples(pages, count, 1, names[:count], labels[:count]), size)


def _ome(description: str, pages: list[tifffile.TiffPage]) -> Layout:
    if len(description) > _MAX_XML or "<!DOCTYPE" in description or "<!ENTITY" in description:
        return Layout(None, None)
    try:
        root = ElementTree.fromstring(description)
    except (ElementTree.ParseError, ValueError):
        return Layout(None, None)
    images = [element for element in root.iter() if element.tag.endswith("}Pixels") or element.tag == "Pixels"]
    if not images:
        return Layout(None, None)
    pixels = images[0]
    x, y = (_length(pixels, axis) for axis in "XY")
    size = physical_size.plausible(x, y)
    parts = [element for element in pixels if element.tag.rpartition("}")[2] == "Channel"]
    count = _whole(pixels.get("SizeC", 1)) // max(1, _whole(parts[0].get("SamplesPerPixel", 1)) if parts else 1)
    expected = count * _whole(pixels.get("SizeZ", 1)) * _whole(pixels.get("SizeT", 1))
    if len(images) == 1 and expected > len(pages) and pages[0].samplesperpixel == 1:
        raise ImageError(
            f"OME metadata say that the file holds {expected} planes, but it has {len(pages)} pages; save them again."
        )
    if count <= 1 or pages[0].samplesperpixel > 1:
        return Layout(None, size)
    if len(images) > 1 and any(dict(other.items()).get("SizeC") != pixels.get("SizeC") for other in images):
        raise ImageError("The file holds images of different numbers of channels; save each as RGB.")
    stride = 1
    for axis in pixels.get("DimensionOrder", "XYCZT")[2:]:
        if axis == "C":
            break
        stride *= _whole(pixels.get(f"Size{axis}", 1))
    labels = [str(part.get("Name") or "") for part in parts]
    names = [_colour_name(label) for label in labels]
    if set(names) != set(_COLOURS):
        named_otherwise = any(label and not _is_numbered(label) for label in labels)
        names = [] if named_otherwise else [_ome_colour(part.get("Color")) for part in parts]
    return Layout(_triples(pages, count, stride, names, labels), size)


def _triples(
    pages: list[tifffile.TiffPage], count: int, stride: int, names: list[str], labels: list[str]
) -> list[tuple[int, int, int]]:
    """Indices of the red, green and blue page of each picture.

    Args:
        pages: the pages of the file.
        count: number of channels.
        stride: number of pages from one channel to the next.
        names: "red", "green" or "blue" for each channel in order; another text or none if the colour is not known.
        labels: names of the channels in the file, for the error message.
    """
    shapes = {(page.imagewidth, page.imagelength, page.bitspersample, page.samplesperpixel) for page in pages}
    if count != 3 or set(names) != set(_COLOURS) or len(pages) % (3 * stride) or len(shapes) != 1:
        called = ", ".join(label[:40] for label in labels if label) or "without names"
        raise ImageError(
            f"The file stores {count} channels as pages ({' '.join(called.split())}); save the picture as RGB."
        )
    places = [names.index(colour) * stride for colour in _COLOURS]
    starts = [block + offset for block in range(0, len(pages), 3 * stride) for offset in range(stride)]
    red, green, blue = places
    return [(start + red, start + green, start + blue) for start in starts]


def _whole(value: str | float | None) -> int:
    try:
        return max(1, int(value)) if value is not None else 1
    except (TypeError, ValueError):  # ImageJ metadata may hold any value
        return 1


def _length(pixels: ElementTree.Element, axis: str) -> float | None:
    """The size of a pixel in µm along an axis, from the OME-XML."""
    unit = physical_size.micrometres(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    try:
        return float(pixels.get(f"PhysicalSize{axis}", "")) * unit if unit else None
    except ValueError:
        return None


def _colour_of_table(table: np.ndarray) -> str:
    """The colour of a channel by its ImageJ lookup table, 3 × 256 levels; "" if not red, green or blue."""
    strongest = np.asarray(table).reshape(3, -1)[:, -1]
    pure = [index for index in range(3) if strongest[index] > 200 and np.delete(strongest, index).max() < 55]
    return _COLOURS[pure[0]] if pure else ""


def _colour_name(label: str) -> str:
    """The colour that a channel label names, as a word or by its initial; "" if not red, green or blue."""
    word = label.strip().lower().removeprefix("channel").strip(" :-_")
    return {"r": "red", "g": "green", "b": "blue"}.get(word, word if word in _COLOURS else "")


def _is_numbered(label: str) -> bool:
    return label.lower().replace("channel", "").strip(" :-_c").isdigit()


def _ome_colour(value: str | None) -> str:
    """The colour of a channel by its OME Color, a signed number of red, green, blue and opacity, 8 bits each."""
    try:
        return _OME_RGBA.get((int(value) & 0xFFFFFFFF) >> 8, "") if value else ""
    except ValueError:
        return ""
