"""The page, as a person meets it in a browser: by mouse, on a phone, by keyboard, in the dark."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from leuko.cells.close_up_detection import is_close_up
from leuko.cells.segmentation import DEFAULT_METHOD, METHODS, segment
from leuko.images.decode import decode
from leuko.images.synthetic import rendering
from leuko.inference.classifier import Classifier
from leuko.serving.interface import build
from leuko.serving.tabs import examples
from tests import bad_files

EXAMPLES = {
    "many": "many-blasts.png",
    "healthy": "healthy-blood.png",
    "mixed": "mixed-cells.png",
    "cell": "one-cell.png",
    "blurred": "out-of-focus.png",
}
WIDE, PHONE = (1280, 900), (375, 740)


@pytest.fixture
def visit(browser, app_url):
    """Opens the page in a window of its own, which remembers what it asked for and what went wrong."""
    contexts = []

    def open_page(size=WIDE, scheme="light"):
        context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.asked, page.wrong = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda said: said.type == "error" and page.wrong.append(said.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(app_url)
        page.get_by_text("No image yet").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def field():
    """A drawn field of four blasts and three neutrophils, and where they are."""
    return rendering.render(11, width=480, height=360, um_per_px=0.17, white_cells={"blast": 4, "neutrophil": 3})


def answered(page, name):
    page.locator(".verdict .eyebrow", has_text=name).wait_for()
    page.get_by_text("Leukaemia probability", exact=True).wait_for()
    veil = "document.querySelector('#card [data-testid=status-tracker]')"
    page.wait_for_function(f"getComputedStyle({veil}).opacity === '0'")  # the card is no longer faded


def try_example(page, which):
    name = EXAMPLES[which]
    page.get_by_role("button", name=examples.DRAWN[name][0]).click()
    answered(page, name)


def upload(page, image, file: Path):
    Image.fromarray(image).save(file)
    page.locator("input[type=file]").first.set_input_files(file)
    answered(page, file.name)


def test_an_upload_is_answered_and_explained_and_nothing_leaves_the_server(visit, app_url, tmp_path, smear):
    page = visit()
    assert page.get_by_text("Not a medical device and not a diagnosis").is_visible()
    upload(page, smear, tmp_path / "field.png")
    card = page.locator(".verdict")
    for words in (
        "Confidence",
        "By the network",
        "By the cells",
        "Picture quality",
        "Like the training images",
        "Why",
    ):
        assert card.get_by_text(words, exact=False).first.is_visible(), words
    # The network does not know drawn smears: what it makes of one is not shown as part of the answer.
    assert page.get_by_text("pattern was not used and is not shown").is_visible()
    assert not page.locator(".bars").count() and "Pattern" not in card.inner_text()
    assert page.locator("p.notice").is_visible()
    outside = [u for u in page.asked if not u.startswith((app_url, "data:", "blob:"))]
    assert not outside and not page.wrong
    # The page's own pictures and tables are in its text: no file of them lies on the server.
    assert {u.rsplit("/", 1)[-1] for u in page.asked if "/file=" in u} <= {"field.png"}


def test_the_heat_map_follows_class_opacity_and_comparison(visit, tmp_path, smear):
    page = visit()
    upload(page, smear, tmp_path / "field.png")
    heat = page.locator("#overlay")
    shown = heat.locator("img.map:visible")
    assert shown.count() == 1
    before = shown.get_attribute("src")
    heat.locator("input[type=radio]:not(:checked)").first.click()
    assert shown.count() == 1 and shown.get_attribute("src") != before
    stage = heat.locator(".stage")
    strong = stage.screenshot()
    heat.get_by_label("Opacity").press("Home")
    assert stage.screenshot() != strong
    heat.get_by_label("Compare").press("End")  # all of the image, nothing of the heat map
    assert shown.evaluate("map => getComputedStyle(map).clipPath") == "inset(0px 0px 0px 100%)"
    saved = {}
    for key in ("Home", "End"):
        heat.get_by_label("Opacity").press(key)
        with page.expect_download() as download:
            heat.get_by_role("button", name="Save this picture").click()
        saved[key] = np.abs(decode(download.value.path()).astype(int) - smear).mean()
    assert saved["Home"] < 8 < 20 < saved["End"]  # nothing of the heat map: the upload, but for what JPEG changes


def test_a_cell_is_the_same_in_picture_crops_and_table(visit, tmp_path, field):
    page = visit()
    upload(page, field.image, tmp_path / "field.png")
    cells = page.locator("#cells")
    drawn = cells.locator("g.cell")
    numbers = [drawn.nth(i).get_attribute("data-cell") for i in range(drawn.count())]
    boxes = "paths => paths.map(p => p.getBBox()).map(b => [b.x + b.width / 2, b.y + b.height / 2])"
    middles = dict(zip(numbers, drawn.locator(".white_cells").evaluate_all(boxes), strict=True))
    true = ndimage.center_of_mass(field.white_cells > 0, field.white_cells, range(1, len(field.kinds) + 1))
    for y, x in true:  # every true cell is outlined, where it is
        assert min(np.hypot(mx - x, my - y) for mx, my in middles.values()) < 8

    def chosen():
        marks = "g.cell.chosen", "tr.chosen", ".gallery button[aria-pressed=true]", "tbody button[aria-pressed=true]"
        return [cells.locator(mark).evaluate_all("parts => parts.map(p => p.dataset.cell)") for mark in marks]

    first, second, third = numbers[:3]
    cells.locator(f'g.cell[data-cell="{first}"]').click()
    assert chosen() == [[first]] * 4 and f"Cell {first}:" in cells.locator(".chosen-note").inner_text()
    cells.locator(f'.gallery button[data-cell="{second}"]').click()
    assert chosen() == [[second]] * 4
    cells.locator(f'tr[data-cell="{third}"] td').nth(3).click()
    assert chosen() == [[third]] * 4
    cells.locator(f'g.cell[data-cell="{third}"]').click()
    assert chosen() == [[]] * 4

    blasts = {n for n, (x, y) in middles.items() if field.kinds[field.white_cells[int(y), int(x)] - 1] == "blast"}
    suspected = cells.locator("tbody tr").evaluate_all("parts => parts.map(p => p.dataset.cell)")
    assert set(suspected[:4]) == blasts  # they come first
    cells.get_by_label("white cells").first.uncheck()
    assert not drawn.locator(".white_cells").first.is_visible()
    small = cells.locator(".stage").bounding_box()["width"]
    cells.get_by_role("button", name="Enlarge the picture").click()
    assert cells.locator(".stage").bounding_box()["width"] > 1.3 * small
    assert not page.wrong


def test_another_method_of_segmentation_is_chosen_where_the_cells_are(visit, tmp_path, field, smear):
    page = visit()
    upload(page, field.image, tmp_path / "field.tif")  # the page holds a copy of it that browsers can show
    choice = page.locator("#cells .method select")
    assert choice.input_value() == DEFAULT_METHOD
    assert choice.locator("option").evaluate_all("all => all.map(each => each.value)") == list(METHODS)

    def choose(method):
        choice.select_option(method)
        page.locator(f'#cells .method option[value="{method}"][selected]').wait_for(state="attached")

    choose("otsu")
    assert page.get_by_text("Segmentation: Otsu").is_visible()
    assert page.locator("#cells g.cell").count() == segment(field.image, "otsu").white_cells.max()
    page.wait_for_function("document.activeElement.matches('.method select')")
    assert page.locator("#cells .method").evaluate("label => label.getBoundingClientRect().top < innerHeight")
    assert "field.tif" in page.locator(".verdict .eyebrow").inner_text() and not page.locator(".earlier").count()
    upload(page, smear, tmp_path / "next.png")
    assert choice.input_value() == "otsu"  # it is kept for the next picture
    page.get_by_role("button", name="Remove Image").click()
    page.get_by_text("Earlier result, of next.png. No image yet").wait_for()
    choice.select_option("k-means")
    page.get_by_text("choose it again to segment it").wait_for()
    page.wait_for_function("document.querySelector('.method select').value === 'otsu'")  # as the result says
    assert page.get_by_text("Segmentation: Otsu").is_visible() and not page.wrong


def test_the_table_is_sorted_and_downloaded_whole(visit, tmp_path, field):
    page = visit()
    upload(page, field.image, tmp_path / "=cmd.png")
    table = page.locator("#cells table")
    heading = table.get_by_role("button", name="Nucleus area")
    column = heading.evaluate("button => button.closest('th').cellIndex")
    for direction in ("descending", "ascending"):
        heading.click()
        assert heading.locator("..").get_attribute("aria-sort") == direction
        values = table.locator("tbody tr").evaluate_all(
            "(rows, i) => rows.map(r => Number(r.cells[i].innerText))", column
        )
        assert values == sorted(values, reverse=direction == "descending") and len(set(values)) > 1
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("Download all .* figures")).click()
    assert download.value.suggested_filename == "cmd-cells.csv"
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert len(rows) == len(values) and all(row["image"] == "'=cmd.png" for row in rows)
    assert sorted(round(float(row["nucleus_area [µm²]"])) for row in rows) == values


def test_the_laboratory_chooses_whether_smudge_cells_are_white_cells(visit, tmp_path):
    smear = rendering.render(5, width=640, height=480, um_per_px=0.17, white_cells={"neutrophil": 5}, smudges=2)
    page = visit()
    upload(page, smear.image, tmp_path / "smudges.png")
    white_cells = page.locator("#cells .hint:visible", has_text="in brackets the exact 95 % interval")
    apart = int(re.search(r"Of (\d+)", white_cells.inner_text())[1])
    rate = page.locator("#cells p:visible", has_text="smudge cells apart from them")
    smudges = int(rate.inner_text().split()[0])
    page.get_by_label("Count smudge cells as white cells").check()
    assert f"Of {apart + smudges} white cells" in white_cells.inner_text() and not rate.count()
    assert page.locator("#cells dt:visible", has_text="Smudge cells").count() == 2  # among all counts, and in this one
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download the differential count").locator("visible=true").click()
    rows = {row["kind"]: row for row in csv.DictReader(io.StringIO(saved.value.path().read_text()))}
    assert float(rows["smudge"]["share"]) == pytest.approx(smudges / (apart + smudges), abs=1e-3)


def test_one_cell_is_not_counted_and_a_field_is(visit):
    page = visit()
    try_example(page, "cell")
    assert page.get_by_role("heading", name="The cell", exact=True).is_visible()
    assert "a single cell" in page.locator(".verdict .eyebrow").inner_text()
    assert page.get_by_text("nothing is counted here").is_visible() and not page.locator(".share").count()
    try_example(page, "mixed")
    assert page.locator(".share").get_attribute("aria-label").count("%") >= 4
    assert page.get_by_text("95 % interval").first.is_visible() and page.get_by_text("White : red").is_visible()


def test_close_ups_are_told_from_fields(data):
    cells = [
        f
        for folder in ("jtsc", "pbc/neutrophil", "pbc/lymphocyte")
        for f in sorted((data / folder).glob("*[0-9].[bj]*"))
    ]
    fields = [f for folder in ("bccd/JPEGImages", "aria/Pre") for f in sorted((data / folder).iterdir())]
    assert np.mean([is_close_up(segment(decode(f))) for f in cells[::60]]) >= 0.8
    assert np.mean([is_close_up(segment(decode(f))) for f in fields[::100]]) <= 0.2


def test_an_image_unfit_to_be_judged_gets_advice_and_no_figures(visit):
    page = visit()
    try_example(page, "many")
    try_example(page, "blurred")
    card = page.locator(".verdict")
    assert "Image quality too low" in card.inner_text() and "refocus" in card.inner_text()
    assert "%" not in card.inner_text() and not page.locator("#cells, #overlay").count()


def test_a_refused_file_gets_a_sentence_and_the_page_goes_on(visit, tmp_path, smear):
    bad_files.write_all(tmp_path, smear[:180])
    page = visit()
    try_example(page, "many")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "text.png")
    page.get_by_text("is not an image that can be read here").wait_for()
    assert page.get_by_text("Drop a smear image here").is_visible()  # and not a broken picture
    assert not page.get_by_text("Leukaemia probability").count()  # nor the earlier image's answer
    assert not page.locator("#cells").count()
    try_example(page, "many")


def test_the_focus_is_kept_where_a_picture_comes_or_goes_and_its_field_can_be_enlarged(visit):
    page = visit()
    try_example(page, "many")
    button = page.locator(".enlarge")
    button.press("Enter")
    assert button.inner_text() == "Reduce the picture" and page.locator(".field .stage").bounding_box()["y"] >= -1
    button.press("Enter")
    assert button.inner_text() == "Enlarge the picture"
    page.get_by_role("button", name="Remove Image").press("Enter")
    page.get_by_text("No image yet").wait_for()
    page.wait_for_function("document.activeElement.closest('.picture')")


def test_a_result_stays_until_there_is_a_new_one_and_says_whose_it_is(visit, tmp_path, smear, field):
    page = visit()
    upload(page, field.image, tmp_path / "first.png")
    watching = """() => {
      window.said = [];
      const look = () => window.said.push(document.querySelector("#card .verdict")?.innerText ?? "");
      new MutationObserver(look).observe(document.querySelector("#card"), {childList: true, subtree: true});
    }"""
    page.evaluate(watching)
    page.get_by_role("button", name="Upload file").click()  # Gradio takes the picture away before there is another
    page.get_by_text("Earlier result, of first.png. No image yet").wait_for()
    assert page.locator("#cells").is_visible() and page.get_by_text("Drop a smear image here").is_visible()
    upload(page, smear, tmp_path / "second.png")
    shown = "".join(page.locator("#card, #details").all_inner_texts())
    assert not page.locator(".earlier").count() and "first.png" not in shown
    assert all("first.png" in text or "second.png" in text for text in page.evaluate("window.said"))
    page.get_by_role("button", name="Remove Image").click()
    page.get_by_role("button", name="Remove this result").click()
    page.get_by_role("heading", name="No image yet").wait_for()
    assert not page.locator("#cells, #overlay, .earlier").count() and not page.wrong


def test_every_result_names_the_model_that_judged(visit, embedded, tmp_path, field):
    page = visit()
    upload(page, field.image, tmp_path / "field.png")
    name = f"{embedded.model.metadata.name}, version {embedded.model.version}"
    assert name in page.locator(".verdict").inner_text() and name in page.locator("#cells").inner_text()


def test_a_file_that_cannot_be_used_is_named(visit, tmp_path):
    page = visit()
    (tmp_path / "notes.png").write_text("no image")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "notes.png")
    page.get_by_text("This file cannot be analysed").wait_for()
    assert page.locator(".verdict .eyebrow").inner_text() == "notes.png"


def test_a_tiff_is_seen_although_browsers_show_none(visit, tmp_path, smear):
    page = visit()
    upload(page, smear, tmp_path / "field.tif")
    page.wait_for_function("document.querySelector('.picture img')?.naturalWidth === 224")


def test_a_file_name_is_shown_and_never_run(visit, tmp_path, smear):
    page = visit()
    name = "<img src=x onerror=document.title='taken'>{{value}}${1}.png"
    upload(page, smear, tmp_path / name.replace("/", ""))
    assert page.title() == "Deep Leuko" and not page.locator("img[src=x]").count()
    assert "onerror" in page.locator(".verdict .eyebrow").inner_text()


def test_on_a_phone_nothing_is_wider_than_the_window_and_the_answer_is_in_sight(visit):
    page = visit(PHONE)
    for which in (None, "mixed", "cell"):
        if which:
            try_example(page, which)
            page.wait_for_function("document.querySelector('.verdict h2').getBoundingClientRect().bottom < innerHeight")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    for name in ("One image", "Case", "Many images", "Adapt"):  # none hides in a menu
        assert page.get_by_role("tab", name=name).locator("visible=true").count() == 1


def test_by_keyboard_alone(visit):
    page = visit()

    def tab_to(selector, most=60):
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    tab_to("[data-example='mixed-cells.png']")
    assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    page.keyboard.press("Enter")
    answered(page, "mixed-cells")
    tab_to(".gallery button")
    page.keyboard.press("Enter")
    assert page.locator("g.cell.chosen").count() == 1
    tab_to("thead button")
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=descending]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    page, axe = visit(scheme=scheme), Axe()
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c < 60)")
    assert is_dark == (scheme == "dark")

    def serious():
        found = axe.run(page).response["violations"]
        return [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]

    assert not serious()
    for which in EXAMPLES:
        try_example(page, which)
        assert not serious(), which
    page.get_by_text("The finding as JSON").click()
    assert json.loads(page.locator("details pre").inner_text())["image"] == "out-of-focus.png"
    assert not serious()
    page.get_by_role("tab", name="Adapt").click()
    page.get_by_role("button", name="Adapt", exact=True).wait_for()
    assert not serious()
    page.get_by_role("tab", name="One image").click()
    (tmp_path / "text.png").write_text("no image")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "text.png")
    page.get_by_text("cannot be analysed").wait_for()
    assert not serious()


WIDGETS = (
    "footer, [role=tablist], input:not(.card *), .examples, .save, .layers, .enlarge, .download, .compare, .slider"
)


def on_paper(page):
    """Within it the page looks as it prints; what is longer than its box would be cut."""
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(WIDGETS).locator("visible=true").count() == 0
    boxes = page.locator(".scroll, .gallery").locator("visible=true")
    whole = (
        "boxes => boxes.every(b => b.scrollHeight <= b.clientHeight + 1 || getComputedStyle(b).overflow === 'visible')"
    )
    assert boxes.evaluate_all(whole)
    assert page.evaluate("new Date().getFullYear().toString()") in page.locator(".printed").inner_text()
    assert page.locator(".masthead .notice").first.is_visible()


def test_a_result_prints_whole_in_dark_letters_on_white_and_without_widgets(visit, embedded):
    page = visit(scheme="dark")
    try_example(page, "many")
    cells = page.locator("g.cell").count()
    on_paper(page)
    card = page.locator(".verdict")
    for words in ("many-blasts.png", "Suspicious for ALL", embedded.model.version):
        assert words in card.inner_text(), words
    for part in (".scale", ".share", "#overlay .stage", "#cells .stage", "#cells table"):
        assert page.locator(part).first.is_visible(), part
    assert page.locator(".gallery li").locator("visible=true").count() == cells
    assert page.locator("#cells tbody tr").locator("visible=true").count() == cells
    table, paper = (page.locator(part).first.bounding_box() for part in ("#cells table", "#cells"))
    assert table["width"] <= paper["width"]
    shades = (
        "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor].map(c => c.match(/\\d+/g).slice(0, 3))"
    )
    for part in ("body", ".verdict", "#cells"):
        letters, paper = page.locator(part).first.evaluate(shades)
        assert max(map(int, letters)) < 60 and min(map(int, paper)) > 240, part
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_batch_prints_whole(visit, tmp_path, smear):
    page = visit()
    for i in range(40):
        Image.fromarray(smear[:64, :64]).save(tmp_path / f"{i}.png")
    page.get_by_role("tab", name="Many images").click()
    page.locator("#batch-files input[type=file]").set_input_files(sorted(tmp_path.iterdir()))
    page.locator("#batch-state").get_by_text("Done").wait_for()
    on_paper(page)
    assert page.locator("#batch-table tbody tr").locator("visible=true").count() == 40
    assert page.locator("#batch-table .scroll").bounding_box()["height"] > 40 * 10
    assert not page.locator("#batch-files, #batch-stop").locator("visible=true").count()


def test_warnings_about_the_model_stand_under_the_title(embedded):
    model = embedded.model
    doubted, plain = (
        replace(model, metadata=replace(model.metadata, warnings=warnings)) for warnings in (("Near <chance>.",), ())
    )
    for served, shown in ((doubted, True), (plain, False)):
        (title,) = (b.value for b in build(Classifier(served), {}).blocks.values() if b.elem_id == "masthead")
        assert ("About this model" in title) == ("Near &lt;chance&gt;." in title) == shown


def test_what_is_said_of_the_examples_fits_their_captions(embedded):
    offered = examples.gather(Path("nowhere"))
    decided = {name: embedded.classify(decode(example.path)).decision for name, example in offered.items()}
    expected = {"many-blasts.png": "suspicious", "healthy-blood.png": "not suspicious"}
    assert decided == dict.fromkeys(examples.DRAWN, "uncertain") | expected


def test_the_image_of_the_readme_is_not_offered_beside_the_drawn_examples():
    assert (examples.FOLDER / "smear.png").is_file()
    assert set(examples.gather()) == set(examples.DRAWN)


def test_an_owner_adds_examples_that_name_their_source(tmp_path, smear):
    for name in ("good", "nameless"):
        Image.fromarray(smear).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_text("no image")
    for name in ("good", "broken"):
        (tmp_path / f"{name}.txt").write_text("By <b>A. Author</b>, CC BY 4.0\n")
    offered = examples.gather(tmp_path)
    assert [name for name in offered if name not in examples.DRAWN] == ["good.png"]
    shown = examples.gallery(offered)
    assert "By &lt;b&gt;A. Author&lt;/b&gt;, CC BY 4.0" in shown and shown.count("<button") == len(examples.DRAWN) + 1
