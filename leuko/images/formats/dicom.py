"""Read photographs from DICOM files.

Only the header elements that describe pixels are read. Other elements, such as a patient's name, are not parsed, shown,
logged or kept. Errors of pydicom are not passed on, because they may quote header values.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from leuko.images.formats import physical_size, pillow_formats
from leuko.images.formats.limits import ImageError, check_pages, check_size
from leuko.images.formats.sample_depth import assemble

if TYPE_CHECKING:
    from pydicom import Dataset

_DEFLATED = b"1.2.840.10008.1.2.1.99"  # would be unpacked completely before any check
_NEEDED = (
    *("SOPClassUID", "ImageType", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration", "NumberOfFrames", "PixelSpacing"),
    *("TotalPixelMatrixColumns", "ICCProfile", "PixelData", "FloatPixelData", "DoubleFloatPixelData"),
    *(f"{c}PaletteColorLookupTable{part}" for c in ("Red", "Green", "Blue") for part in ("Data", "Descriptor")),
    *(f"Segmented{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue")),
)
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_PHOTOGRAPHS = ("1.2.840.10008.5.1.4.1.1.77.1.", "1.2.840.10008.5.1.4.1.1.7")  # visible light; secondary capture
_MODELS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # baseline; extended, of 8 bits
_RUN_LENGTHS = "1.2.840.10008.1.2.5"
_READABLE = {  # transfer syntaxes: three uncompressed, JPEG, two of JPEG 2000, run lengths
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", *_JPEG),
    *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", _RUN_LENGTHS),
}


def is_dicom(data: bytes) -> bool:
    """Whether a file begins like a DICOM file."""
    return data[128:132] == b"DICM"


def read(data: bytes) -> Iterator[tuple[int, np.ndarray, float | None]]:
    """Yield frame number (from 1), pixels (uint8, H × W × 3, sRGB) and µm per pixel or None, for each frame.

    Raises:
        ImageError: the file is not a photograph, is a whole slide, is too large, or cannot be decoded.
    """
    try:
        yield from _frames(data)
    except (ImageError, GeneratorExit):
        raise
    except MemoryError:
        raise
    except Exception:  # its text may quote header values
        raise ImageError("The DICOM file is damaged, cut off or unusual; export the picture as PNG or JPEG.") from None


def _frames(data: bytes) -> Iterator[tuple[int, np.ndarray, float | None]]:
    import pydicom  # imported only for DICOM files, because it loads a large dictionary
    from pydicom import pixels

    _silence()
    if _DEFLATED in data:
        raise ImageError("The DICOM file is packed as a whole (deflated); export the picture as PNG or JPEG.")
    header = pydicom.dcmread(io.BytesIO(data), specific_tags=list(_NEEDED))
    syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
    _check(header, syntax)
    count = int(header.get("NumberOfFrames") or 1)
    check_pages(count, count * header.Rows * header.Columns)
    if header.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_compressed(header, count)
    elif len(header.PixelData) < _length(header, count):
        raise ImageError("The DICOM file is damaged or cut off; export or copy it again.")
    size = _size(header)
    if syntax in _JPEG:
        frames = _jpeg_frames(header, count)
    elif syntax == _RUN_LENGTHS:
        frames = _run_length_frames(header, count)
    else:
        frames = pixels.iter_pixels(header)
    for number, frame in enumerate(frames, start=1):
        yield number, _to_rgb(header, frame), size


def _silence() -> None:
    """Suppress pydicom's warnings about unusual values, because they quote these values."""
    import pydicom

    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")


def _check(header: Dataset, syntax: str) -> None:
    """Refuse a file that is not a photograph or cannot be decoded, before its pixels are read."""
    kind = str(header.get("SOPClassUID", ""))
    image_type = [str(part) for part in header.get("ImageType") or []]
    if kind == _WHOLE_SLIDE or "TotalPixelMatrixColumns" in header:
        raise ImageError("The file is a whole slide in DICOM; export single fields from its viewer as PNG or JPEG.")
    if "PixelData" not in header:
        raise ImageError("The DICOM file holds no picture of 8- or 16-bit samples; choose one with a photograph.")
    if kind and not kind.startswith(_PHOTOGRAPHS):
        raise ImageError("The DICOM file is no photograph (visible light or secondary capture) but of another kind.")
    if "LABEL" in image_type:
        raise ImageError("The DICOM file shows the label of a slide; choose one with a field of the smear.")
    if syntax not in _READABLE:
        raise ImageError(
            "The DICOM file is compressed in a way that is not read here; export it uncompressed, or as PNG or JPEG."
        )
    check_size(int(header.Columns), int(header.Rows))
    stored, allocated = int(header.BitsStored), int(header.BitsAllocated)
    if header.get("PhotometricInterpretation") not in _MODELS or header.SamplesPerPixel not in (1, 3):
        raise ImageError("The DICOM file has a colour model that is not read here; export it as PNG or JPEG.")
    if allocated not in (8, 16) or not 8 <= stored <= allocated or header.get("PixelRepresentation"):
        raise ImageError("The DICOM file has samples of less than 8, over 16, or signed bits; export it as PNG.")


def _length(header: Dataset, count: int) -> int:
    """Number of bytes of the uncompressed pixels; YBR_FULL_422 stores two samples for each pixel."""
    samples = 2 if header.PhotometricInterpretation == "YBR_FULL_422" else int(header.SamplesPerPixel)
    return count * header.Rows * header.Columns * samples * header.BitsAllocated // 8


def _check_compressed(header: Dataset, count: int) -> None:
    """Refuse compressed frames that differ in size from the header, or that have too many scans."""
    from pydicom import encaps

    frames = 0
    for frame in encaps.generate_frames(header.PixelData, number_of_frames=count):
        frames += 1
        check_pages(frames, 0)
        if frame[:2] not in (b"\xff\xd8", b"\xff\x4f") and frame[4:8] != b"jP  ":
            continue  # run-length encoding
        with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
            if image.size != (header.Columns, header.Rows):
                raise ImageError("A frame of the DICOM file does not have the size that the header says.")
        if pillow_formats.is_costly(frame):
            raise ImageError("A frame of the DICOM file is built of too many parts; export the picture as PNG or JPEG.")
    if frames != count:
        raise ImageError(f"The DICOM file says that it holds {count} frames, but it holds {frames}.")


def _jpeg_frames(header: Dataset, count: int) -> Iterator[np.ndarray]:
    """Decode JPEG frames, H × W or H × W × 3.

    The colour model (RGB, or luminance and chrominance) is taken from the markers of the JPEG if it has such markers,
    because DICOM headers often state RGB for data of an ordinary JPEG encoder.
    """
    from pydicom import encaps

    for frame in encaps.generate_frames(header.PixelData, number_of_frames=count):
        with Image.open(io.BytesIO(frame), formats=("JPEG",)) as image:
            if header.PhotometricInterpretation == "RGB" and not {"jfif", "adobe_transform"} & image.info.keys():
                image.draft("YCbCr", image.size)  # gives the stored samples without conversion
                yield np.asarray(image)
            else:
                yield np.asarray(image.convert("L" if header.SamplesPerPixel == 1 else "RGB"))


def _run_length_frames(header: Dataset, count: int) -> Iterator[np.ndarray]:
    """Decode run-length encoded frames, H × W or H × W × 3, a hundred times faster than pydicom does."""
    import imagecodecs
    from pydicom import encaps

    shape = (int(header.SamplesPerPixel), int(header.Rows), int(header.Columns))
    kind = np.dtype(np.uint8 if header.BitsAllocated == 8 else np.uint16)
    for frame in encaps.generate_frames(header.PixelData, number_of_frames=count):
        packed = imagecodecs.dicomrle_decode(frame, kind, out=int(np.prod(shape)) * kind.itemsize)
        planes = np.frombuffer(packed, kind).reshape(shape).transpose(1, 2, 0)
        if header.PhotometricInterpretation.startswith("YBR"):
            size = (shape[2], shape[1])
            planes = np.asarray(Image.frombytes("YCbCr", size, np.ascontiguousarray(planes)).convert("RGB"))
        yield planes


def _to_rgb(header: Dataset, frame: np.ndarray) -> np.ndarray:
    from pydicom import pixels

    bits = int(header.BitsStored)
    model = header.PhotometricInterpretation
    if model == "PALETTE COLOR":
        frame = pixels.apply_color_lut(frame.reshape(frame.shape[:2]), header)
        bits = 16 if frame.dtype == np.uint16 else 8
    elif frame.dtype == np.uint16 and bits < 16:
        frame = frame & np.uint16(2**bits - 1)  # the bits above the stored bits may hold an overlay
    frame = frame.reshape(*frame.shape[:2], -1)
    profile = header.get("ICCProfile")
    return assemble(
        frame if frame.dtype == np.uint8 else frame.astype(np.uint16),
        bits=bits if bits < 16 or model == "PALETTE COLOR" else None,
        white_is_zero=model == "MONOCHROME1",
        profile=bytes(profile) if profile else None,
    )


def _size(header: Dataset) -> float | None:
    spacing = header.get("PixelSpacing")  # mm, vertical and horizontal
    if spacing is None or len(spacing) != 2:
        return None
    return physical_size.plausible(1e3 * float(spacing[1]), 1e3 * float(spacing[0]))
