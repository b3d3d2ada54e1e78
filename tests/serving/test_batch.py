"""Many images at once, in a browser and as a table."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from leuko.images.file_types import InputFile
from leuko.serving import batch
from leuko.serving.gradio.upload_components import MAX_NAME, file_name

DANGEROUS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "＝1",
    '=HYPERLINK("http://x","y")',
    "=cmd|' /C x'!A0",
]


@pytest.fixture
def tab(app_url):
    """The tab of many images, in Chromium."""
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        if os.environ.get("CI"):
            pytest.fail("CI must have Debian's chromium")
        pytest.skip("no /usr/bin/chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(app_url)
        page.get_by_role("tab", name="Many images").click()
        yield page
        browser.close()


@pytest.fixture(scope="module")
def png(drawn) -> bytes:
    return (drawn / "blast" / "0.png").read_bytes()


def choose(page: Page, files: object) -> None:
    page.locator("#batch-files input[type=file]").set_input_files(files)


def rows(page: Page) -> list[list[str]]:
    return [line.locator("td").all_inner_texts() for line in page.locator("#batch-table tbody tr").all()]


def test_two_bad_files_of_many_fail_alone_and_the_csv_says_what_the_table_says(tab, png):
    """The bad files' names are made to harm: as HTML in the page, as a formula in a spreadsheet."""
    files = [{"name": f"{i}.png", "mimeType": "image/png", "buffer": png + bytes([i])} for i in range(5)]
    for name in ("<img src=x onerror=alert(1)>.png", "=1+1.png"):
        files.insert(2, {"name": name, "mimeType": "image/png", "buffer": b"no image"})
    tab.on("dialog", lambda _: pytest.fail("a file's name was run as a script"))
    choose(tab, files)
    expect(tab.locator("#batch-state")).to_contain_text("2 not analysed", timeout=60_000)
    shown = rows(tab)
    assert len(shown) == 7 and not tab.locator("#batch-table img").count()
    failed = [row for row in shown if row[1] == batch.NOT_ANALYSED]
    assert {row[0] for row in failed} >= {"=1+1.png"} and all("not an image" in row[-1] for row in failed)
    assert len(failed) == 2
    for row in shown:  # no probability invites a threshold where nothing is decided
        assert bool(row[2]) == (row[1] in ("suspicious", "not suspicious"))
        assert row[5].startswith("Deep Leuko") == (row not in failed)  # the model
    with tab.expect_download() as download:
        tab.get_by_text("Download the table as CSV").click()
    read = list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert read[0] == list(batch.COLUMNS)
    assert [[cell.removeprefix("'") for cell in row] for row in read[1:]] == shown
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in read for cell in row)


def test_a_zip_with_folders_is_unpacked_and_an_unsafe_one_is_refused(tab, tmp_path, png):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("lab/blast/1.png", png)
        packed.writestr("lab/healthy/deeper/2.png", png)
        packed.writestr("lab/notes.txt", "read me")
    choose(tab, tmp_path / "a.zip")
    expect(tab.locator("#batch-state")).to_contain_text("Done: 2 images", timeout=60_000)
    expect(tab.locator("#batch-state")).to_contain_text("1 skipped")
    expect(tab.locator("#batch-table")).to_contain_text("Skipped 1 file: notes.txt (not an image).")
    assert [row[0] for row in rows(tab)] == ["blast/1.png", "healthy/deeper/2.png"]
    for entries, words in (
        ({"a/1.png": b"\0" * 3_000_000}, "times its size"),
        ({"../1.png": png}, "leads out of its folder"),
        ({f"{i}.png": b"x" for i in range(501)}, "501 files"),
    ):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in entries.items():
                packed.writestr(name, data)
        choose(tab, tmp_path / "bad.zip")
        expect(tab.locator("#batch-state")).to_contain_text(words, timeout=30_000)
        assert not rows(tab)


def test_a_batch_is_cancelled_and_keeps_what_was_judged(tab, png):
    choose(tab, [{"name": f"{i}.png", "mimeType": "image/png", "buffer": png + bytes([i])} for i in range(150)])
    expect(tab.locator("#batch-state progress")).to_be_visible(timeout=60_000)
    expect(tab.locator("#batch-state")).to_contain_text("left")
    button = tab.get_by_role("button", name="Cancel")
    button.evaluate(
        "button => new MutationObserver(() => (window.said ??= []).push(button.innerText.trim()))"
        ".observe(button, {childList: true, subtree: true, characterData: true})"
    )
    button.click()
    expect(tab.locator("#batch-state")).to_contain_text("Cancelled after", timeout=30_000)
    assert 0 < len(rows(tab)) < 150
    expect(tab.locator("#batch-stop")).to_have_text("Cancel")
    assert tab.evaluate("window.said") == ["Cancelling …", "Cancel"]
    choose(tab, [{"name": "one.png", "mimeType": "image/png", "buffer": png}])
    expect(tab.locator("#batch-state")).to_contain_text("Done: 1 image", timeout=30_000)


def test_of_a_picture_that_is_not_fit_no_probability_is_given(embedded, tmp_path):
    Image.new("RGB", (300, 300), "white").save(tmp_path / "white.png")
    (answer,) = batch.classify_file(embedded, InputFile("white.png", tmp_path / "white.png"))
    _, decision, probability, label, quality, _, reason = batch.table_row(answer)
    assert decision == batch.LOW_QUALITY and quality == "not usable" and not probability + label
    assert "over-exposed" in reason and "network" not in reason


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_text_is_a_formula_in_a_spreadsheet(text):
    table = batch.as_csv([(text, "uncertain", "0.5000", text, "usable", text)])
    assert table.startswith(b"\xef\xbb\xbf")
    (_, row) = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""))
    assert row[0] == row[3] == row[5] == f"'{text}" and row[1:3] == ["uncertain", "0.5000"]


def test_a_name_is_its_last_part_without_what_cannot_be_printed():
    assert file_name("../../etc/passwd") == file_name("C:\\etc\\passwd") == "passwd"
    assert file_name("a\u202egnp.exe\n\x1b[31m.png") == "agnp.exe[31m.png"
    assert file_name("/") == file_name("") == "unnamed" and len(file_name("x" * 9999)) == MAX_NAME
