"""What class names mean: known for certain, or asked for; never guessed."""

from __future__ import annotations

import shlex

import pytest

from leuko.data.errors import DataError
from leuko.data.labels.positive_classes import choose_positive, class_meanings, describe_positive, unify_class_names

KNOWN = [  # leukaemia, its absence
    (["Early Pre-B", "PreB", "ProB"], ["Benign"]),
    (["[Malignant] early Pre-B", "[Malignant] Pre-B", "[Malignant] Pro-B"], ["Benign"]),
    (["WBC-Malignant-Early", "WBC-Malignant-Pre"], ["WBC-Benign"]),
    (["pre_b"], ["healthy"]),
    (["PRE-B", "EarlyPreB"], ["HEALTHY"]),
    (["Early", "Pre", "Pro"], ["Benign"]),
    (["all"], ["hem"]),
    (["ALL", "AML"], ["Healthy"]),
    (["AML"], ["normal"]),
    (["CML", "CLL", "APL", "MPAL", "JMML"], ["controls"]),
    (["AML-M2", "APL (M3)"], ["Normal cells"]),
    (["L1", "L2", "L3"], ["normal"]),
    (["M2", "M3"], ["healthy donors"]),
    (["B-ALL", "T-ALL", "t cell acute lymphoblastic leukemia"], ["haematogones"]),
    (["Chronic Lymphocytic Leukaemia"], ["Healthy"]),
    (["leukemia-positive"], ["leukemia-negative"]),
    (["Leukemic"], ["NonLeukemic"]),
    (["Leukämie"], ["benign"]),
    (["Leucémie", "leucemia"], ["control"]),
    (["lymphoblasts"], ["blast-free"]),
    (["blast"], ["non-blast"]),
    (["with blasts"], ["absence of blasts"]),
    (["ALL"], ["negative for ALL"]),
    (["ALL-positive"], ["ALL-negative"]),
    (["malignant"], ["non-malignant"]),
    (["cancer"], ["cancer_free"]),
    (["1_leukemia"], ["0_normal"]),
    (["all "], ["hem "]),
]
ASKED = [  # names of which at least the first is not known
    ["PreX", "Benign"],
    ["Pre", "Benign"],
    ["Early", "normal"],
    ["L1", "normal"],
    ["Pre-B", "Pro-B", "Mature B"],
    ["in remission", "ALL"],
    ["post-ALL", "healthy"],
    ["ex ALL", "healthy"],
    ["suspected ALL", "healthy"],
    ["possible leukaemia", "healthy"],
    ["ALL?", "healthy"],
    ["ALL-", "ALL+"],
    ["leukemia_0", "leukemia_1"],
    ["0", "1"],
    ["LABEL_0", "LABEL_1"],
    ["all", "train"],
    ["all", "blast", "healthy"],
    ["All cells", "healthy"],
    ["all_images", "healthy"],
    ["pre-treatment", "healthy"],
    ["pre-leukaemia", "healthy"],
    ["preprocessed", "healthy"],
    ["early morning", "healthy"],
    ["pro", "healthy"],
    ["acute non-lymphoblastic leukemia", "healthy"],
    ["non-ALL leukaemia", "ALL"],
    ["Non-AML", "AML"],
    ["Non-ALL", "ALL", "AML"],
    ["no acute leukemia", "acute leukemia"],
    ["not normal", "normal"],
    ["abnormal", "normal"],
    ["unhealthy", "healthy"],
    ["positive control", "ALL"],
    ["positive", "negative"],
    ["reactive", "ALL"],
    ["other", "ALL"],
    ["unknown", "ALL"],
    ["unlabeled", "ALL"],
    ["artefact", "ALL"],
    ["MDS", "healthy"],
    ["lymphoma", "healthy"],
    ["lymphoblastic lymphoma", "healthy"],
    ["myeloma", "healthy"],
    ["lymphocyte", "blast"],
    ["Ph-negative ALL", "healthy"],
    ["normal with leukaemia", "healthy"],
    ["ball", "healthy"],
]


@pytest.mark.parametrize(("positive", "negative"), KNOWN)
def test_names_that_say_it_are_known_in_any_spelling_and_order(positive, negative):
    for labels in ([*positive, *negative], [*negative, *reversed(positive)]):
        found = class_meanings(labels)
        assert not found.unknown
        assert set(found.leukaemia) == set(positive) and set(found.absence) == set(negative)
        assert set(choose_positive(labels, None)) == set(positive)


@pytest.mark.parametrize("labels", ASKED, ids=lambda labels: labels[0])
def test_all_others_are_asked_for_with_the_option_that_settles_it(labels):
    assert labels[0] in class_meanings(labels).unknown
    with pytest.raises(DataError, match="not known for certain") as asked:
        choose_positive(labels, None, dict.fromkeys(labels, 7))
    said = str(asked.value)
    assert "\n" not in said and f"{labels[0]} (7 images)" in said
    options = [part.partition(" (if")[0] for part in said.split("--positive ")[1:]]
    for option in options:  # every one of them can be given as it stands
        names = shlex.split(option)
        assert set(choose_positive(labels, names)) == (set() if names == ["none"] else set(names))


def test_kinds_of_cells_alone_mean_no_leukaemia():
    labels = ["basophil", "Lymphocytes", "ig", "platelet", "immature granulocyte"]
    assert class_meanings(labels).cells and choose_positive(labels, None) == ()
    assert describe_positive(labels, ()).startswith("No class means leukaemia: basophil")


def test_what_is_declared_may_be_spelled_nearly_so_and_is_said():
    labels = ["Benign", "Pre-B", "sick"]
    assert choose_positive(labels, ["preb", " Sick"]) == ("Pre-B", "sick")
    assert choose_positive(labels, ["none"]) == choose_positive(labels, []) == ()
    assert choose_positive(["None", "some"], ["none"]) == ("None",)
    assert describe_positive(labels, ("sick",)) == "Leukaemia: sick; no leukaemia: Benign, Pre-B."
    with pytest.raises(DataError, match="no class 'healthy'; the classes are Benign, Pre-B, sick"):
        choose_positive(labels, ["healthy"])
    with pytest.raises(DataError, match=r"ALL, AML.* nothing to tell them from.* --positive"):
        choose_positive(["ALL", "AML"], None)


def test_near_equal_names_are_one_class_and_signs_that_may_mean_something_keep_two():
    labels = ["PreB"] * 3 + ["Pre-B", "pre b ", "Ja\u0308hn", "Jähn", "ALL+", "ALL-", "ALL", "L1-2", "L12"]
    names, said = unify_class_names(labels)
    assert {names[label] for label in ("PreB", "Pre-B", "pre b ")} == {"PreB"}
    assert names["Ja\u0308hn"] == names["Jähn"] == "Jähn"
    assert len({names[label] for label in ("ALL+", "ALL-", "ALL", "L1-2", "L12")}) == 5
    assert len(said) == 2 and "'Pre-B' (1 images)" in said[0] and "'PreB' (3 images)" in said[0]
