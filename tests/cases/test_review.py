"""A person's changes: counts, shares and decision follow; the log grows; the file of a case keeps all of it."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from leuko.cases.case import Case
from leuko.cases.case_file import CONTENT, SEAL, CaseFile, CaseFileError
from leuko.cases.pooled_cells import Overlap
from leuko.cases.registration import Shift
from leuko.cases.review import Change, ReviewError, change_of_row, in_force
from leuko.cells.kinds.names import BLAST
from leuko.cli.main import main
from leuko.images.synthetic import rendering
from tests.cases.test_case import POINT, case_of, cell, record

WHEN = "2026-12-01T12:00:00+00:00"
MODEL = {"name": "a", "version": "1", "backbone": "b"}


def change(action: str, image: str = "", number: int | None = None, after: str = "", **more) -> Change:
    return Change(WHEN, "Ada", action, image, number, after=after, **more)


@pytest.fixture
def case() -> Case:
    """Two fields of ten neutrophils each, that do not overlap."""
    fields = [record(name, [cell(n, 50.0 * n, 100) for n in range(1, 11)], ood_reason="colours") for name in "ab"]
    return case_of(fields, "marrow")


def test_counts_share_and_decision_follow_the_changes_and_the_computed_figures_stay(case):
    assert case.verdict.decision == "not suspicious" and case.blast_share.blasts == 0
    changed = case.reviewed(*(change("label", image, n, BLAST) for image in "ab" for n in range(1, 10)))
    assert changed.blast_share.blasts == 18 and changed.differential.numbers["blast"] == 18
    assert changed.verdict.decision == "suspicious"
    said = changed.as_json()
    assert said["review"]["computed"]["blast_share"]["blasts"] == 0 and len(said["review"]["changes"]) == 18
    assert said["review"]["changes"][0]["before"] == "neutrophil" and said["decision"] == "suspicious"
    assert case.as_json()["review"] is None


def test_a_cell_is_added_where_it_was_missed_and_removed_where_there_is_none(case):
    changed = case.reviewed(
        change("add", "a", after="lymphocyte", x=300.0, y=300.0), change("remove", "b", 3), change("remove", "b", 4)
    )
    assert changed.blast_share.nucleated == 19 and changed.differential.numbers["lymphocyte"] == 1
    added = next(each.cell for each in changed.cells if each.cell.type == "lymphocyte")
    again = changed.reviewed(change("label", "a", added.id, "monocyte"))
    assert again.differential.numbers["monocyte"] == 1 and again.changes[-1].before == "lymphocyte"


def test_a_cell_is_named_by_any_field_that_shows_it_and_never_added_twice():
    fields = [record("a", [cell(1, 600, 100), cell(2, 100, 100)]), record("b", [cell(1, 60, 100)])]
    case = Case(tuple(fields), "marrow", POINT, (Overlap(0, 1, Shift(540.0, 0.0, 0.15)),))
    changed = case.reviewed(change("label", "b", 1, BLAST))
    assert changed.blast_share.blasts == 1 and changed.changes[0].before == "neutrophil"
    assert case.reviewed(change("label", "a", 1, BLAST)).blast_share.blasts == 1
    for image, x in (("a", 605.0), ("b", 65.0)):
        with pytest.raises(ReviewError, match="already at this place"):
            case.reviewed(change("add", image, after=BLAST, x=x, y=100.0))
    added = case.reviewed(change("add", "a", after=BLAST, x=600.0, y=300.0))
    with pytest.raises(ReviewError, match="already at this place"):
        added.reviewed(change("add", "b", after=BLAST, x=60.0, y=300.0))


def test_what_a_person_does_not_know_is_in_no_share_of_blasts(case):
    for kinds in (("unknown",), (BLAST, "unknown"), ("smudge", "unknown")):
        changed = case.reviewed(*(change("label", "a", 1, kind) for kind in kinds))
        assert (changed.blast_share.blasts, changed.blast_share.nucleated) == (0, 19), kinds
        assert "not counted" not in " ".join(changed.reasons)
    assert case.reviewed(change("label", "a", 1, "smudge"), change("label", "a", 1, BLAST)).blast_share.blasts == 1


def test_cells_are_added_to_fields_that_are_counted_and_to_no_others():
    empty, blurred = record("a", []), record("b", [], fit=False, why_no_cells="The image is blurred.")
    case = case_of([empty, blurred])
    assert case.reviewed(change("add", "a", after=BLAST, x=5.0, y=5.0)).as_json()["blast_share"]["nucleated"] == 1
    with pytest.raises(ReviewError, match=r"none can be added\. The image is blurred\."):
        case.reviewed(change("add", "b", after=BLAST, x=5.0, y=5.0))


def test_undo_and_redo_are_changes_too(case):
    one, two = change("label", "a", 1, BLAST), change("label", "a", 2, BLAST)
    assert in_force([one, two, change("undo")]) == [one]
    assert in_force([one, two, change("undo"), change("undo"), change("redo")]) == [one]
    assert in_force([one, change("undo"), two]) == [two]
    for log in ([change("undo")], [one, change("redo")], [one, change("undo"), two, change("redo")]):
        with pytest.raises(ReviewError, match="no change to"):
            in_force(log)
    changed = case.reviewed(one, change("undo"))
    assert changed.blast_share.blasts == 0 and len(changed.changes) == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (change("label", "c", 1, BLAST), "no field 'c'"),
        (change("label", "a", 77, BLAST), "no counted cell 77"),
        (change("label", "a", 1, "dragon"), "'dragon' is no kind"),
        (change("add", "a", after=BLAST), "needs a place inside"),
        (change("add", "a", after=BLAST, x=9999.0, y=1.0), "needs a place inside"),
        (change("remove", "a"), "no counted cell"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_in_one_sentence(case, wrong, words):
    with pytest.raises(ReviewError, match=words):
        case.reviewed(wrong)


def test_rows_of_a_list_are_read_and_bad_ones_named():
    row = {"action": "add", "image": "a", "cell": "", "after": "blast", "x": "3.5", "y": "4", "note": " at the edge "}
    read = change_of_row(row, "line 2", "Ada", WHEN)
    assert (read.action, read.cell, read.x, read.note) == ("add", None, 3.5, "at the edge")
    with pytest.raises(ReviewError, match="line 2: the column `action`"):
        change_of_row({"action": "delete"}, "line 2", "Ada", WHEN)
    with pytest.raises(ReviewError, match="must be numbers"):
        change_of_row({"action": "add", "x": "nan", "y": "1"}, "line 2", "Ada", WHEN)
    with pytest.raises(ReviewError, match="must be numbers"):
        change_of_row({"action": "label", "cell": "two"}, "line 2", "Ada", WHEN)


def test_a_case_is_kept_opened_signed_and_no_more_signed_when_it_changes(case, tmp_path):
    file = tmp_path / "one.leuko"
    CaseFile.new(case.reviewed(change("label", "a", 1, BLAST)), MODEL).signed(" Ada ").write(file)
    opened = CaseFile.read(file)
    assert opened.signature and opened.signature.who == "Ada" and opened.signature.sha256 == opened.digest
    assert opened.case.blast_share.blasts == 1 and opened.model == MODEL
    assert opened.as_json() == CaseFile.read(file).as_json()
    assert opened.reviewed(change("undo")).signature is None
    with pytest.raises(CaseFileError, match="needs a name"):
        opened.signed("  ")


def test_a_case_of_another_version_says_so(case, tmp_path):
    file = tmp_path / "old.leuko"
    stored = CaseFile(case, MODEL, "0.0.1", WHEN)
    stored.write(file)
    assert "version 0.0.1" in CaseFile.read(file).notes[0]


def rewritten(file: Path, content: bytes | None = None, **seal) -> Path:
    """A copy of a case with other content, or with other values in its seal."""
    with zipfile.ZipFile(file) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    copy = file.with_name(f"copy-{len(list(file.parent.iterdir()))}.leuko")
    with zipfile.ZipFile(copy, "w") as packed:
        packed.writestr(CONTENT, parts[CONTENT] if content is None else content)
        packed.writestr(SEAL, json.dumps({**json.loads(parts[SEAL]), **seal}))
    return copy


def test_edited_foreign_and_later_files_get_one_sentence_each(case, tmp_path):
    import hashlib

    file = tmp_path / "good.leuko"
    CaseFile.new(case, MODEL).signed("Ada").write(file)
    content = zipfile.ZipFile(file).read(CONTENT)
    edited = content.replace(b'"neutrophil"', b'"basophil"', 1)

    def sealed(text: bytes) -> Path:
        return rewritten(file, text, sha256=hashlib.sha256(text).hexdigest(), signature=None)

    (tmp_path / "text.leuko").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "other.leuko", "w") as other:
        other.writestr("readme.txt", "x")
    cases = {
        rewritten(file, edited): "changed after it was written",
        rewritten(file, format=2): "another version",
        rewritten(file, edited, sha256=hashlib.sha256(edited).hexdigest()): "signature of another case",
        sealed(b"[]"): "no case that can be read",
        sealed(b'{"case": NaN}'): "no case that can be read",
        sealed(content.replace(b'"blast_probability":0.01', b'"blast_probability":7', 1)): "no case that can be read",
        sealed(b"[" * 100_000): "no case that can be read",
        sealed(content.replace(b'"neutrophil"', b'"dragon"', 1)): "no case that can be read",
        sealed(content.replace(b'"diameter":60.0', b'"diameter":1e400', 1)): "no case that can be read",
        tmp_path / "text.leuko": "no case of Deep Leuko, or it is damaged",
        tmp_path / "other.leuko": "no case of Deep Leuko",
        tmp_path / "missing.leuko": "cannot be read",
    }
    for bad, words in cases.items():
        with pytest.raises(CaseFileError, match=words) as refusal:
            CaseFile.read(bad)
        assert "\n" not in str(refusal.value)


def test_hostile_files_are_refused_or_read_but_never_fail_otherwise(case, tmp_path):
    file = tmp_path / "good.leuko"
    CaseFile.new(case, MODEL).write(file)
    good, rng = file.read_bytes(), random.Random(0)
    hostile = tmp_path / "hostile.leuko"
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        hostile.write_bytes(bytes(bad[: rng.choice([len(bad), rng.randrange(len(bad))])]))
        try:
            CaseFile.read(hostile)
        except CaseFileError as error:
            assert "\n" not in str(error)


def test_the_command_keeps_changes_signs_and_opens_a_case(tmp_path, capsys):
    smear = rendering.render(2, width=480, height=480, um_per_px=0.2, white_cells={"neutrophil": 5}, cut=False)
    Image.fromarray(smear.image).save(tmp_path / "field.png")
    kept = tmp_path / "slide.leuko"
    assert main(["case", str(tmp_path / "field.png"), "--specimen", "blood", "--save", str(kept)]) == 0
    said = json.loads(capsys.readouterr().out)
    number = said["cells"][0]["id"]
    changes = tmp_path / "changes.csv"
    changes.write_text(f"action,image,cell,after\nlabel,field.png,{number},blast\nremove,field.png,{number + 1},\n")
    options = ["--changes", str(changes), "--by", "Ada", "--sign", "--save", str(kept)]
    assert main(["case", str(kept), *options]) == 0
    changed = json.loads(capsys.readouterr().out)
    assert changed["signature"]["who"] == "Ada"
    assert changed["blast_share"]["nucleated"] == said["blast_share"]["nucleated"] - 1
    assert changed["blast_share"]["blasts"] == said["blast_share"]["blasts"] + 1
    assert main(["case", str(kept)]) == 0
    assert json.loads(capsys.readouterr().out) == changed
    refused = {
        (str(tmp_path / "field.png"),): "--specimen must say",
        (str(kept), "--specimen", "marrow"): "opened alone",
        (str(kept), "--sign"): "need --by",
        (str(kept), "--by", "Ada"): "need --by",
        (str(kept), "--save", "a.zip"): "ends with .leuko",
    }
    for words, why in refused.items():
        with pytest.raises(SystemExit):
            main(["case", *words])
        assert why in capsys.readouterr().err
    assert main(["case", str(tmp_path / "field.png"), "--specimen", "blood", "--save", str(kept)]) == 1
    assert "maybe with a review" in capsys.readouterr().err and CaseFile.read(kept).signature
