"""Whatever is given to the command line: every file has a row, an error in words, or is skipped and named."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from leuko import __version__
from leuko.__main__ import main
from leuko.cells.segmentation import segment
from leuko.data.errors import DataError
from leuko.data.load import load
from leuko.images.synthetic import rendering
from leuko.networks.model_folder import ModelFolderError, locate
from leuko.serving import batch
from leuko.serving.gradio.upload_components import Upload
from leuko.system.hub_ids import is_path
from tests.conftest import ROOT

LATIN = os.fsdecode(b"h\xe4m.png")  # a name in Latin-1, as disks of older systems have them
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


def leuko(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """The real command, in a terminal of its own."""
    command = [sys.executable, "-m", "leuko", *map(os.fsencode, map(str, arguments))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, env={**os.environ, **environment}, timeout=300)


def rows_of(lines: bytes) -> list[dict]:
    return [json.loads(line) for line in lines.decode().splitlines()]


def as_bytes(picture: Image.Image, kind: str) -> bytes:
    written = io.BytesIO()
    picture.save(written, kind)
    return written.getvalue()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(rendering.render(1, width=96, height=96, um_per_px=0.7, white_cells={"blast": 4}).image)


@pytest.fixture(scope="module")
def png(picture) -> bytes:
    return as_bytes(picture, "PNG")


@pytest.fixture(scope="module")
def jpeg(picture) -> bytes:
    return as_bytes(picture, "JPEG")


def fill(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_every_file_of_a_folder_is_judged_refused_or_skipped_and_named(tmp_path, png, jpeg):
    """In a terminal that knows ASCII alone; what is said can be read as JSON, and names tell the files apart."""
    judged = [
        *("a.jfif", "b.jpe", "c.JPG", "camera.dat", "no_suffix", "photo.heic", "img9.png", "img10.png"),
        *("😀.png", "new\nline.png", "rtl\u202egnp.png", LATIN, "p1/1.png", "p2/1.png"),
    ]
    refused = ["text.png", "empty.jpg", "broken.zip", "old.tar.gz"]
    skipped = [
        *(".hidden.png", "._a.jpg", "__MACOSX/a.jpg", ".ipynb_checkpoints/a.png", "Thumbs.db", "notes.txt"),
        *("table.csv", "sheet.xlsx", "data.bin", "empty"),
    ]
    folder = fill(tmp_path / "in", {name: png if name.endswith(".png") else jpeg for name in judged})
    fill(folder, {name: b"no image" if name != "empty.jpg" else b"" for name in refused})
    fill(folder, {name: png if name.endswith(".png") else b"\1\2" for name in skipped} | {"empty": b""})
    fill(tmp_path / "elsewhere", {"far.png": png})
    (folder / "near").symlink_to(folder / "p1")
    (folder / "p1" / "up").symlink_to(folder)
    (folder / "a_link").symlink_to(tmp_path / "elsewhere")
    (folder / "gone.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.png")
    done = leuko("field", folder, **ASCII)
    rows, said = rows_of(done.stdout), done.stderr.decode("ascii")
    assert done.returncode == 1 and "Traceback" not in said and done.stdout.isascii()
    names = [row["image"] for row in rows]
    right = [row["image"] for row in rows if "counts" in row]
    assert len(right) == len(judged) + 1 and len(set(names)) == len(names)
    shown = {"p1/1.png": f"{folder}/p1/1.png", "p2/1.png": f"{folder}/p2/1.png", LATIN: "h\\xe4m.png"}
    assert set(right) == {shown.get(name, name) for name in judged} | {"far.png"}
    assert right.index("img9.png") < right.index("img10.png")
    errors = {row["image"]: row["error"] for row in rows if "error" in row}
    assert set(errors) == {*refused, "gone.png", "pipe.png"} and all(text.endswith(".") for text in errors.values())
    assert f"Skipped {len(skipped) + 2} files: " in said
    for name in (*(name.split("/")[0] for name in skipped), "near (the same as", "up (the same as"):
        assert f"/{name}" in said, name


def test_every_page_of_a_file_is_judged_and_has_files_of_its_own(tmp_path, picture, png, embedded, capsys):
    """Beside an image that is called as a page of it would be."""
    pages = {"save_all": True, "append_images": [picture.rotate(90), picture.rotate(180)]}
    picture.save(tmp_path / "a.tif", **pages)
    (tmp_path / "a#2.png").write_bytes(png)
    named = [f"a.tif#{page}" for page in (1, 2, 3)]
    assert main(["field", str(tmp_path), "--masks", str(tmp_path / "masks")]) == 0
    rows = rows_of(capsys.readouterr().out.encode())
    assert [row["image"] for row in rows] == ["a#2.png", *named] and all(row["counts"] for row in rows)
    masks = {file.stem: np.asarray(Image.open(file)) for file in (tmp_path / "masks").iterdir()}
    assert len(masks) == 4 and "a#2" in masks
    (stem,) = {name.rpartition("#")[0] for name in masks} - {"a"}
    for page, image in enumerate((picture, *pages["append_images"]), start=1):
        assert np.array_equal(masks[f"{stem}#{page}"], segment(np.asarray(image)).mask())
    with batch.open_batch([Upload(tmp_path / "a.tif", "a.tif")]) as given:
        answers = [answer for item in given.items for answer in batch.classify_file(embedded, item)]
    assert [answer["image"] for answer in answers] == named


def test_folders_given_twice_and_folders_without_images_are_said(tmp_path, png, capsys):
    fill(tmp_path, {"a/1.png": png, "b/notes.txt": b"x"})
    assert main(["field", *(str(tmp_path / name) for name in ("a/1.png", "a", "a"))]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1 and printed.err.count("the same as") == 2
    assert main(["field", str(tmp_path / "b"), str(tmp_path / "b" / "notes.txt")]) == 1
    printed = capsys.readouterr()
    nothing, named = map(json.loads, printed.out.splitlines())
    assert "no image in this folder" in nothing["error"] and "not an image" in named["error"]


def zipped(file: Path, entries: list[tuple[str | zipfile.ZipInfo, bytes]], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", how) as written:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in entries:
            written.writestr(name, data)
    return file


@pytest.fixture(scope="module")
def zips(tmp_path_factory, png, jpeg) -> Path:
    """Two zips: one of odd entries, one beside it."""
    folder = tmp_path_factory.mktemp("zips")
    link = zipfile.ZipInfo("lab/link.png")
    link.external_attr = 0o120777 << 16
    bzip2 = zipfile.ZipInfo("lab/bzip2.png")
    bzip2.compress_type = zipfile.ZIP_BZIP2
    stored = zipfile.ZipInfo("lab/bad_sum.png")  # found by its content further down
    entries = [
        *((f"lab/{name}", jpeg) for name in ("10.jfif", "9.heic", "no_suffix")),
        *((f"lab/{name}", png) for name in ("same.png", "SAME.png", "win\\back.png", "12:30.png", "secret.png")),
        *(("lab/same.png", jpeg), (link, b"/etc/passwd"), (bzip2, png), (stored, b"unique" + png), ("lab/sub/", b"")),
        *(("lab/more.zip", b"PK\3\4"), ("lab/text.png", b"text"), ("lab/README.md", b"#"), ("lab/.DS_Store", b"x")),
        *(("__MACOSX/lab/._9.heic", b"x"), ("lab/t.csv", b"a"), ("lab/noise", b"\1\2")),
    ]
    odd = zipped(folder / "odd.zip", entries)
    data = bytearray(odd.read_bytes())
    data[data.index(b"unique")] ^= 1
    data[data.index(b"lab/secret.png") - 30 + 6] |= 1  # the flag of what is encrypted, in both of its places
    data[data.rindex(b"lab/secret.png") - 46 + 8] |= 1
    odd.write_bytes(data)
    return folder


JUDGED = ["9.heic", "10.jfif", "12:30.png", "no_suffix", "same.png", "same.png", "SAME.png", "win/back.png"]
REFUSED = {
    "bad_sum.png": "damaged within the zip",
    "bzip2.png": "unusual way",
    "link.png": "a link",
    "more.zip": "another archive",
    "secret.png": "encrypted",
    "text.png": "not an image",
}
SKIPPED = {".DS_Store": "hidden", "README.md": "not an image", "noise": "not an image", "t.csv": "a table"}


def check_zip(rows: list[dict], skipped: dict[str, str], prefix: str = "") -> None:
    """Every entry of the odd zip: those of one name are two."""
    right = sorted(row["image"] for row in rows if "error" not in row)
    errors = {row["image"]: row["error"] for row in rows if "error" in row}
    assert right == sorted(f"{prefix}lab/{name}" for name in JUDGED)
    assert set(errors) == {f"{prefix}lab/{name}" for name in REFUSED}
    assert all(words in errors[f"{prefix}lab/{name}"] for name, words in REFUSED.items())
    assert skipped == {f"{prefix}lab/{name}": why for name, why in SKIPPED.items()} | {
        f"{prefix}__MACOSX/lab/._9.heic": "hidden"
    }


def test_in_a_zip_every_entry_has_its_own_fate(zips, png, tmp_path):
    done = leuko("classify", zips / "odd.zip", "--network-only", "--cam", tmp_path / "cam")
    said = done.stderr.decode()
    skipped = dict(part.rstrip(".)\n").split(" (") for part in said.split("files: ")[1].split("), "))
    rows = rows_of(done.stdout)
    check_zip(rows, skipped)
    names = [row["image"] for row in rows if "error" not in row]
    assert names.index("lab/9.heic") < names.index("lab/10.jfif") and done.returncode == 1
    assert len(list((tmp_path / "cam").glob("*.npy"))) == len(JUDGED)


def test_a_zip_in_a_folder_is_judged_under_its_name(zips, png, tmp_path, capsys):
    fill(tmp_path, {"in/one.png": png, "in/z.dat": (zips / "odd.zip").read_bytes(), "in/b.zip": b"PK\3\4 no zip"})
    assert main(["field", str(tmp_path / "in")]) == 1
    first, second, *rest = rows_of(capsys.readouterr().out.encode())
    assert first["image"] == "b.zip" and "not a zip that can be read" in first["error"]
    assert second["image"] == "one.png" and second["counts"]
    assert {row["image"] for row in rest} == {f"z.dat/lab/{name}" for name in (*JUDGED, *REFUSED)}


def test_names_in_a_zip_are_read_in_the_encoding_of_their_writer(tmp_path, png, capsys):
    """UTF-8 by its flag or without, Info-ZIP's extra field, code page 437 of DOS, Latin-1 of Unix."""
    extra, told = zipfile.ZipInfo("e.png"), "extra_ü.png".encode()
    extra.extra = struct.pack("<HHBI", 0x7075, 5 + len(told), 1, zlib.crc32(b"e.png")) + told
    file = zipped(tmp_path / "a.zip", [("flag_ü.png", png), (extra, png), *((f"{i}__.png", png) for i in range(3))])
    data = bytearray(file.read_bytes())
    for i, name in enumerate((b"\xc3\xbc", b"\x81_", b"\xfc_")):
        data = data.replace(f"{i}__.png".encode(), f"{i}".encode() + name + b".png")
    data[data.rindex(b"1\x81_.png") - 46 + 5] = 0  # made on DOS
    file.write_bytes(data)
    assert main(["field", str(file)]) == 0
    names = [json.loads(line)["image"] for line in capsys.readouterr().out.splitlines()]
    assert names == ["0ü.png", "1ü_.png", "2ü_.png", "extra_ü.png", "flag_ü.png"]


def test_the_api_and_the_command_line_agree_on_zips(zips, png, app_url, tmp_path):
    """A zip alone, and a zip beside an image and another zip."""
    client = Client(app_url, verbose=False)
    alone = client.predict(images=[handle_file(zips / "odd.zip")], api_name="/classify_batch")
    check_zip(*apart(alone))
    fill(tmp_path, {"one.png": png, "b.zip": b"PK\3\4 no zip"})
    given = [tmp_path / "one.png", zips / "odd.zip", tmp_path / "b.zip"]
    one, *rest, broken = client.predict(images=list(map(handle_file, given)), api_name="/classify_batch")
    assert one["image"] == "one.png" and "decision" in one
    assert broken["image"] == "b.zip" and "not a zip that can be read" in broken["error"]
    check_zip(*apart(rest), prefix="odd.zip/")


def apart(answers: list[dict]) -> tuple[list[dict], dict[str, str]]:
    skipped = {each["image"]: each["skipped"] for each in answers if "skipped" in each}
    return [each for each in answers if "skipped" not in each], skipped


def test_a_table_tells_of_skipped_files_too(zips, embedded, tmp_path):
    with batch.open_batch([Upload(zips / "odd.zip", "odd.zip")]) as given:
        rows = [batch.table_row(answer) for item in given.items for answer in batch.classify_file(embedded, item)]
    assert len(rows) == len(JUDGED) + len(REFUSED) + len(SKIPPED) + 1
    assert all(len(row) == len(batch.COLUMNS) for row in rows)
    assert [row[-1] for row in rows if row[0] == "lab/README.md" and row[1] == "skipped"] == ["not an image"]
    assert "README.md" in batch.as_csv(rows).decode("utf-8-sig")


@pytest.fixture
def many(tmp_path, png) -> Path:
    return fill(tmp_path / "many", {f"{i}.png": png for i in range(40)})


def test_a_closed_pipe_ends_quietly(many):
    done = subprocess.run(
        f"{sys.executable} -m leuko field {many} | head -1", shell=True, cwd=ROOT, capture_output=True, timeout=300
    )
    assert done.stderr == b"" and len(rows_of(done.stdout)) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this machine")
def test_a_full_disk_is_said_in_one_sentence(many, capsys):
    assert main(["field", str(many), "--json", "/dev/full"]) == 1
    assert capsys.readouterr().err == "/dev/full cannot be written (No space left on device).\n"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "leuko", "field", str(many)], cwd=ROOT, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1 and done.stderr == b"The answer cannot be written (No space left on device).\n"


def test_places_that_cannot_be_written_are_said_in_one_sentence(tmp_path, png, capsys):
    image = str(fill(tmp_path, {"a.png": png, "file": b""}) / "a.png")
    for options in (
        ["--json", tmp_path / "no" / "a.jsonl"],
        ["--json", tmp_path],
        ["--masks", tmp_path / "file"],
        ["--overlay", tmp_path / "file" / "more"],
        ["--masks", tmp_path / "out", "--overlay", tmp_path / "x" / ".." / "out"],
    ):
        assert main(["field", image, *map(str, options)]) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and len(printed.err.splitlines()) == 1 and "Errno" not in printed.err


def test_a_file_that_is_no_earlier_result_is_not_overwritten_unasked(tmp_path, png, capsys):
    fill(tmp_path, {"in/a.png": png, "in/b.png": png, "out/a.png": b"mine", "notes.txt": b"mine"})
    folder, out, lines = str(tmp_path / "in"), tmp_path / "out", tmp_path / "lines.jsonl"
    command = ["field", folder, "--masks", str(out), "--json", str(lines)]
    for _ in range(2):  # its own results are replaced, those of others are not
        assert main(command) == 1
        refused, done = rows_of(lines.read_bytes())
        assert "--overwrite" in refused["error"] and done["counts"] and (out / "a.png").read_bytes() == b"mine"
    assert main([*command, "--overwrite"]) == 0 and np.asarray(Image.open(out / "a.png")).ndim == 2
    assert main(command) == 0
    assert main(["field", folder, "--overlay", str(out)]) == 1  # another option writes other pictures
    assert main(["classify", folder, "--cam", str(out), "--network-only"]) == 1
    assert np.asarray(Image.open(out / "a.png")).ndim == 2
    capsys.readouterr()
    before = lines.read_bytes()
    for file in (lines, tmp_path / "notes.txt", tmp_path / "in" / "a.png"):
        held = file.read_bytes()
        assert main(["classify", folder, "--network-only", "--json", str(file)]) == 1
        assert "--overwrite" in capsys.readouterr().err and file.read_bytes() == held
    lines.write_bytes(before[:-40])  # as of a run that was cut off
    assert main(command) == 0 and lines.read_bytes() == before


def test_results_among_the_images_are_no_images_of_the_next_run(tmp_path, png, capsys):
    folder = fill(tmp_path, {"a.png": png})
    for _ in range(2):
        assert main(["field", str(folder), "--masks", str(folder / "masks"), "--overlay", str(folder / "seen")]) == 0
        printed = capsys.readouterr()
        assert len(printed.out.splitlines()) == 1
    assert printed.err.count("a picture that Deep Leuko has written") == 2


def test_outputs_of_other_commands_are_not_taken(tmp_path, drawn, capsys):
    """A folder of something else is refused before anything is read; a model's with a stranger's file too."""
    fill(tmp_path, {"out/thesis.txt": b"mine", "model/leuko.json": b"{}", "model/thesis.txt": b"mine"})
    for command in (
        ["eda", str(drawn), "--output"],
        ["evaluate", "embedded", str(drawn), "--output"],
        ["tune", str(drawn), "--weights", "none", "--output"],
        ["compare", str(drawn), "--weights", "none", "--output"],
        ["adapt", str(drawn), "--positive", "blast", "--output"],
    ):
        assert main([*command, str(tmp_path / "out")]) == 1
        assert "holds other files" in capsys.readouterr().err
    for place in (tmp_path / "model", tmp_path / "out"):
        assert main(["adapt", str(drawn), "--positive", "blast", "--output", str(place)]) == 1
        assert (place / "thesis.txt").read_bytes() == b"mine"
    assert "thesis.txt" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["typo", "./typo", "models/typo", "~/typo", "C:\\typo", "a/b/c", "/no/where"])
def test_an_unknown_path_is_answered_with_a_word_about_paths(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(socket, "socket", None)  # nobody is asked
    with pytest.raises(ModelFolderError, match="check the path") as refusal:
        locate(model)
    assert "token" not in str(refusal.value) and "login" not in str(refusal.value)
    with pytest.raises(DataError, match="check the path"):
        load(model)


def test_ids_of_the_hub_are_no_paths():
    assert not any(map(is_path, ("timm/resnet50.a1_in1k", "user/name", "a-b/c_d.v1.5")))
    assert all(map(is_path, ("user/name.zip", "name", "a/b/", "a b/c", "../up")))


@pytest.mark.parametrize("program", [["-m", "leuko"], ["train.py"], ["app.py"]])
def test_versions_are_told(program):
    done = subprocess.run([sys.executable, *program, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(f"Deep Leuko {__version__}\n") and "torch" in done.stdout
