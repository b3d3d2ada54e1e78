"""Photographs in DICOM, and that nothing of a patient leaves the header."""

from __future__ import annotations

import io
import logging
import struct
import warnings

import numpy as np
import pytest
from PIL import Image
from pydicom import encaps, uid
from pydicom.dataset import FileDataset, FileMetaDataset

from leuko.images.decode import ImageError, decode, format_of, pictures
from leuko.images.synthetic import rendering

PHOTOGRAPH, MICROSCOPIC, CAPTURE = (
    "1.2.840.10008.5.1.4.1.1.77.1.4",
    "1.2.840.10008.5.1.4.1.1.77.1.2",
    "1.2.840.10008.5.1.4.1.1.7",
)
NAME = "Wintergarten^Ottilie"


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    image = rendering.render(5, width=128, height=96, um_per_px=0.3, white_cells={"blast": 1}).image
    image[0, 0] = 255
    return image


def dicom(pixels: bytes, model: str, syntax: str = uid.ExplicitVRLittleEndian, bits: int = 8, **more: object) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.UID(syntax)
    meta.MediaStorageSOPClassUID = more.get("SOPClassUID", MICROSCOPIC)
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    file.PatientName, file.PatientID, file.PatientBirthDate = NAME, "4711-Secret", "19490523"
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    file.Rows, file.Columns, file.PhotometricInterpretation = 96, 128, model
    file.SamplesPerPixel = 3 if model.startswith(("RGB", "YBR")) else 1
    file.BitsAllocated = 8 if bits <= 8 else 16
    file.BitsStored, file.HighBit, file.PixelRepresentation, file.PlanarConfiguration = bits, bits - 1, 0, 0
    for name, value in more.items():
        setattr(file, name, value)
    if uid.UID(syntax).is_encapsulated:
        file.PixelData = encaps.encapsulate([pixels] if isinstance(pixels, bytes) else pixels)
        file["PixelData"].VR, file["PixelData"].is_undefined_length = "OB", True
    else:
        file.PixelData = pixels + b"\0" * (len(pixels) % 2)
        file["PixelData"].VR = "OB" if bits <= 8 else "OW"
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def jpeg(pixels: np.ndarray, form: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", [PHOTOGRAPH, MICROSCOPIC, CAPTURE])
def test_rgb_chunky_and_planar_is_read_by_content(picture, tmp_path, kind):
    data = dicom(picture.tobytes(), "RGB", SOPClassUID=kind)
    planar = dicom(picture.transpose(2, 0, 1).tobytes(), "RGB", SOPClassUID=kind, PlanarConfiguration=1)
    implicit = dicom(picture.tobytes(), "RGB", uid.ImplicitVRLittleEndian)
    (tmp_path / "IM0001").write_bytes(data)
    assert format_of(data) == "DICOM"
    for source in (data, planar, implicit, tmp_path / "IM0001"):
        assert (decode(source) == picture).all()


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("model", ["MONOCHROME1", "MONOCHROME2"])
def test_grey_of_every_depth(picture, bits, model):
    grey = picture[..., 1].copy()
    grey[0, 0] = 255
    values = (grey.astype(np.uint16) << (bits - 8)) | (grey >> 2) % np.uint16(2 ** (bits - 8))
    dim = values // 3  # the header tells the depth, by which a dim picture stays dim
    for stored, truth in ((values, grey), (dim, grey // 3)) if bits < 16 else ((values, grey),):
        if model == "MONOCHROME1":
            stored = 2**bits - 1 - stored
        image = decode(dicom(stored.astype("u1" if bits == 8 else "<u2").tobytes(), model, bits=bits))
        assert np.abs(image[..., 0].astype(int) - truth).max() <= 1
    if bits == 12:  # an overlay in the bits above those of the picture
        stored = values | 0x8000 if model == "MONOCHROME2" else (4095 - values) | 0x8000
        assert (
            np.abs(decode(dicom(stored.astype("<u2").tobytes(), model, bits=bits))[..., 0].astype(int) - grey).max()
            <= 1
        )


def test_luminance_and_chrominance(picture):
    ycc = np.asarray(Image.fromarray(picture).convert("YCbCr"))
    assert np.abs(decode(dicom(ycc.tobytes(), "YBR_FULL")).astype(int) - picture).max() <= 3
    pairs = np.stack([ycc[:, ::2, 0], ycc[:, 1::2, 0], ycc[:, ::2, 1], ycc[:, ::2, 2]], axis=-1)
    assert np.abs(decode(dicom(pairs.tobytes(), "YBR_FULL_422")).astype(int) - picture).mean() < 3


@pytest.mark.parametrize("entries", [8, 16])
def test_palettes(picture, entries):
    palette = Image.fromarray(picture).quantize(64)
    table = np.asarray(palette.getpalette()[: 64 * 3]).reshape(-1, 3)
    scaled = table * (257 if entries == 16 else 1)
    more = {}
    for i, colour in enumerate(("Red", "Green", "Blue")):
        more[f"{colour}PaletteColorLookupTableDescriptor"] = [len(table), 0, entries]
        more[f"{colour}PaletteColorLookupTableData"] = scaled[:, i].astype(f"<u{entries // 8}").tobytes()
    image = decode(dicom(np.asarray(palette).tobytes(), "PALETTE COLOR", **more))
    assert (image == np.asarray(palette.convert("RGB"))).all()


def test_compressed_photographs(picture):
    baseline = decode(dicom(jpeg(picture, quality=95, subsampling=0), "YBR_FULL_422", uid.JPEGBaseline8Bit))
    assert np.abs(baseline.astype(int) - picture).mean() < 3
    said_otherwise = dicom(jpeg(picture, quality=95, subsampling=0), "RGB", uid.JPEGBaseline8Bit)
    assert (decode(said_otherwise) == baseline).all()
    stored_as_rgb = _without_markers(jpeg(picture, quality=95, subsampling=0, keep_rgb=True))
    assert np.abs(decode(dicom(stored_as_rgb, "RGB", uid.JPEGBaseline8Bit)).astype(int) - picture).mean() < 3
    lossless = decode(dicom(jpeg(picture, "JPEG2000", irreversible=False), "YBR_RCT", uid.JPEG2000Lossless))
    assert (lossless == picture).all()
    grey = decode(dicom(jpeg(picture[..., 1], quality=98), "MONOCHROME2", uid.JPEGBaseline8Bit))
    assert np.abs(grey[..., 0].astype(int) - picture[..., 1]).mean() < 2
    from pydicom.pixels import get_encoder

    deep = picture[..., 1].astype(np.uint16) << 4
    frame = get_encoder(uid.RLELossless).encode(
        deep, rows=96, columns=128, samples_per_pixel=1, bits_allocated=16, bits_stored=12, pixel_representation=0,
        photometric_interpretation="MONOCHROME2", number_of_frames=1)  # fmt: skip
    assert (decode(dicom(frame, "MONOCHROME2", uid.RLELossless, bits=12))[..., 0] == picture[..., 1]).all()
    ycc = np.asarray(Image.fromarray(picture).convert("YCbCr"))
    for stored, model in ((picture, "RGB"), (ycc, "YBR_FULL")):
        frame = get_encoder(uid.RLELossless).encode(
            stored, rows=96, columns=128, samples_per_pixel=3, bits_allocated=8, bits_stored=8,
            pixel_representation=0, photometric_interpretation=model, planar_configuration=0, number_of_frames=1,
        )  # fmt: skip
        assert np.abs(decode(dicom(frame, model, uid.RLELossless)).astype(int) - picture).max() <= (
            3 if model != "RGB" else 0
        )


def _without_markers(data: bytes) -> bytes:
    """A JPEG without JFIF and Adobe segments, whose components are numbered 1 to 3."""
    kept, position = data[:2], 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        segment = bytearray(data[position:end])
        if segment[1] == 0xC0:
            segment[10::3] = b"\1\2\3"
        if segment[1] not in (0xE0, 0xEE):
            kept += bytes(segment)
        position = end
    scan = bytearray(data[position:])
    scan[5:11:2] = b"\1\2\3"
    return kept + bytes(scan)


def test_frames_are_pages_and_pixel_spacing_is_read(picture):
    frames = np.stack([picture, picture[::-1]])
    found = pictures(dicom(frames.tobytes(), "RGB", NumberOfFrames=2, PixelSpacing=[0.00025, 0.00025]))
    assert [p.page for p in found] == [1, 2] and found[0].um_per_px == pytest.approx(0.25)
    assert all((p.pixels == frame).all() for p, frame in zip(found, frames, strict=True))
    assert pictures(dicom(picture.tobytes(), "RGB", PixelSpacing=[0.2, 0.2]))[0].um_per_px is None
    parts = [jpeg(picture, quality=95), jpeg(picture[::-1].copy(), quality=95)]
    assert len(pictures(dicom(parts, "YBR_FULL_422", uid.JPEGBaseline8Bit, NumberOfFrames=2))) == 2


@pytest.fixture(scope="module")
def refused(picture) -> dict[str, tuple[bytes, str]]:
    """Files of DICOM that are to be refused, with what the sentence must speak of."""
    raw = picture.tobytes()
    return {
        "whole slide": (dicom(raw, "RGB", SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6"), "whole slide"),
        "tiled": (dicom(raw, "RGB", TotalPixelMatrixColumns=90_000), "whole slide"),
        "label": (dicom(raw, "RGB", ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"]), "label"),
        "tomogram": (dicom(raw, "RGB", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), "no photograph"),
        "lying rows": (dicom(raw, "RGB", Rows=60_000, Columns=60_000), "megapixels"),
        "more rows than data": (dicom(raw, "RGB", Rows=6_000, Columns=6_000), "damaged"),
        "no rows": (dicom(raw, "RGB", Rows=0), "0 pixels"),
        "many frames": (dicom(raw, "RGB", NumberOfFrames=2_000_000_000), "pages"),
        "frames without data": (dicom(raw, "RGB", NumberOfFrames=9), "damaged"),
        "lying frame": (dicom(jpeg(np.zeros((3_000, 3_000), np.uint8)), "MONOCHROME2", uid.JPEGBaseline8Bit), "size"),
        "compressed unusually": (dicom(b"\xff\xd8\xff\xf7", "RGB", uid.JPEGLSLossless), "compressed"),
        "deflated": (dicom(raw, "RGB", uid.DeflatedExplicitVRLittleEndian), "deflated"),
        "signed": (dicom(raw, "RGB", PixelRepresentation=1), "signed"),
        "bits": (dicom(raw, "RGB", BitsAllocated=64, BitsStored=64), "bits"),
        "cut off": (dicom(raw, "RGB")[:-500], "damaged"),
        "header alone": (dicom(raw, "RGB")[:300], "DICOM"),
        "garbage": (bytes(128) + b"DICM" + bytes(range(256)) * 9, "DICOM"),
        "bomb of run lengths": (
            dicom(struct.pack("<16I", 3, 64, 264, 464, *[0] * 12) + b"\x81\0" * 3_000_000, "RGB", uid.RLELossless),
            "damaged",
        ),
        "broken run lengths": (dicom(b"\3\0\0\0" + b"\xff" * 200, "RGB", uid.RLELossless), "damaged"),
        "strange numbers": (dicom(raw, "RGB", PixelSpacing=[0.00025] * 2).replace(b"0.00025", b"PATIENT"), "DICOM"),
    }


def test_what_is_no_photograph_or_lies_is_refused_in_a_sentence(refused):
    for name, (data, words) in refused.items():
        with pytest.raises(ImageError) as refusal:
            pictures(data)
        assert words in str(refusal.value), name
        assert str(refusal.value).count("\n") == 0 and str(refusal.value).endswith(".")


def test_nothing_of_the_patient_is_shown_logged_or_kept(picture, refused, caplog, capfd):
    """Nor where values are invalid, of which pydicom warns by quoting them."""
    raw = picture.tobytes()
    good = dicom(raw, "RGB", PatientComments="Secret remark")
    broken = [good.replace(b"19490523", b"Secret!!"), good.replace(b"1.2.3\0", b"Secret"), good[:700], good[:-100]]
    broken += [good.replace(b"RGB ", b"Secr"), *(data for data, _ in refused.values())]
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for data in [good, *broken]:
            try:
                said = repr(pictures(data))
            except ImageError as error:
                said = repr(error) + repr(error.__cause__)
            assert not any(word in said for word in ("Wintergarten", "Secr", "4711"))
    out = "".join(capfd.readouterr()) + caplog.text + "".join(str(w.message) for w in warned)
    assert not any(word in out for word in ("Wintergarten", "Secr", "4711", "19490523"))
