"""The tab of a case, in a browser: overlapping fields become one decision, one count and a worklist."""

from __future__ import annotations

import base64
import json

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from leuko.cases.case_file import CaseFile
from leuko.images.synthetic import rendering

WIDE, PHONE = (1280, 900), (375, 740)


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> list[str]:
    """Four overlapping fields of a drawn slide of blasts, and a file that is no image."""
    folder = tmp_path_factory.mktemp("slide")
    cells = {"blast": 10, "neutrophil": 3}
    smear = rendering.render(3, width=740, height=740, um_per_px=0.2, white_cells=cells, cut=False)
    for y in (0, 260):
        for x in (0, 260):
            Image.fromarray(smear.image[y : y + 480, x : x + 480]).save(folder / f"{y}-{x}.png")
    (folder / "<b>notes.png").write_bytes(b"no image")
    return [str(file) for file in sorted(folder.iterdir())]


@pytest.fixture
def tab(browser, app_url):
    """Opens the tab in a window of a size."""
    contexts = []

    def open_tab(size=WIDE):
        context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(app_url)
        page.get_by_role("tab", name="Case").click()
        return page

    yield open_tab
    for context in contexts:
        context.close()


def downloaded(page: Page, link: str) -> bytes:
    return base64.b64decode(page.get_by_text(link).get_attribute("href").partition("base64,")[2])


def test_overlapping_fields_become_one_case(tab, slide, tmp_path):
    page = tab()
    page.get_by_label("marrow").check()
    page.locator("#case-files input[type=file]").set_input_files(slide)
    page.locator("#case").wait_for()
    said = json.loads(downloaded(page, "Download its figures"))
    assert said["specimen"] == "marrow" and said["blast_share"]["nucleated"] == 13 and said["seen_again"] >= 4
    share = page.locator("#case .two").inner_text()
    assert f"({said['blast_share']['blasts']} of 13)" in share and "13 of 500 cells" in share
    card = page.locator("#case-content .verdict").inner_text()
    assert "A case of 4 fields · marrow" in card and "of 13 white cells" in card
    rows = page.locator("#case .worklist tbody tr")
    assert rows.count() == 4 and rows.locator("img").count() == 4
    shown = {row.locator("th").inner_text(): row.locator("td").nth(1).inner_text() for row in rows.all()}
    assert shown == {each["image"]: str(each["counted"]) for each in said["fields"]}
    assert "<b>notes.png: The file is not an image" in page.locator("#case").inner_text()
    (tmp_path / "case.leuko").write_bytes(downloaded(page, "Download the case"))
    assert CaseFile.read(tmp_path / "case.leuko").as_json().items() <= said.items()
    expect(page.locator("#case-state")).to_contain_text("4 fields read, 1 file not")


def test_a_case_is_accessible_and_fits_a_phone(tab, slide):
    from axe_playwright_python.sync_playwright import Axe

    page = tab(PHONE)
    page.locator("#case-files input[type=file]").set_input_files(slide)
    page.locator("#case").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    found = Axe().run(page).response["violations"]
    assert not [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]


def test_a_file_that_is_no_image_alone_is_no_case(tab, slide):
    page = tab()
    page.locator("#case-files input[type=file]").set_input_files(slide[-1:] if "notes" in slide[-1] else slide[:1])
    page.locator("#case").wait_for()
    assert "Image quality too low" in page.locator("#case-content .verdict").inner_text()
    assert "Add fields that are good enough" in page.locator("#case-content .verdict").inner_text()
