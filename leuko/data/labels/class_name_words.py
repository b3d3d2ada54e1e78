"""The words in class names, and the meaning of a single class name.

A name has a meaning only if every word of it is known. For all other names the user is asked, because a wrong guess
would count patients with leukaemia as healthy, or the reverse.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from leuko.data.labels.filename_conventions import signs, words

Sense = Literal[
    "leukaemia",
    "absence",
    "cells",  # a kind of cell that occurs in patients with and without leukaemia
    "all",  # ALL, or the English word "all"
    "not all",  # not ALL: no leukaemia, or another leukaemia
    "stage",  # Pre-B and similar: a stage of leukaemia, or of the normal development of B cells
    "early",
    "pre",
    "pro",
    "L",  # L1 to L3 of the FAB classification of ALL
    "M",  # M0 to M7 of the FAB classification of AML
    "unknown",
]

# One letter for each kind of word. A name becomes a string of letters that regular expressions can match.
_KINDS = {
    "D": "leukaemia leukemia leukaemias leukemias leukaemic leukemic blast blasts lymphoblast lymphoblasts malignant "
    "cancer cancers cancerous leucemia leucemias leucemie leucemies leucaemia leukamie leukamien leukaemie leukemie "
    "leukemi leuchemia losemi leucemica leucemico лейкоз лейкемия 白血病 急性白血病 急性淋巴细胞白血病 백혈병 لوسمی",
    "T": "aml cml cll apl apml mpal jmml amkl anll pll",
    "A": "all",
    "B": "bcpall etpall ball tall",  # `ball` and `tall` only in capitals
    "S": "earlyb earlyt preb pret prob",
    "E": "early pre pro",
    "F": "l1 l2 l3 m0 m1 m2 m3 m4 m5 m6 m7",
    "H": "healthy normal normals benign control controls hem haematogone haematogones hematogone hematogones",
    "N": "non no not without",
    "M": "free negative neg",
    "Y": "positive with",
    "Q": "acute chronic lymphoblastic lymphocytic lymphoid myeloid myelogenous myeloblastic promyelocytic monocytic "
    "monoblastic myelomonocytic megakaryoblastic megakaryocytic erythroid precursor mature common b t juvenile hairy "
    "prolymphocytic mixed phenotype granulocytic undifferentiated burkitt philadelphia fab subtype",
    "n": "cell cells image images img imgs picture pictures photo photos smear smears slide slides patient patients "
    "subject subjects donor donors volunteer volunteers case cases sample samples individual individuals person "
    "persons people adult adults child children pediatric paediatric childhood class category type group blood bone "
    "marrow peripheral wbc wbcs field fields crop crops of the",
}
_PHRASES = (
    (r"\b(?:negative for|free of|free from|absence of)\b", "without"),
    (r"\bpositive for\b", "with"),
    (r"\bearly ?pre ?([bt])\b", r"early\1"),
    (r"\b(pre|pro) ?([bt])\b", r"\1\2"),
    (r"\bearly ?pre\b", "early"),
    (r"\bnon(?=(?:leuk|leuc|blast|lymphoblast|malign|cancer)\w)", "non "),
)
_CELLS = re.compile(
    r"(?:(?:basophil|eosinophil|neutrophil|monocyte|lymphocyte|platelet|thrombocyte|erythroblast|normoblast|erythrocyte"
    r"|promyelocyte|myelocyte|metamyelocyte|megakaryocyte|macrophage|leukocyte|leucocyte|granulocyte|plasma cell"
    r"|immature granulocyte|band neutrophil|segmented neutrophil|smudge cell|red blood cell|red cell|rbc)s?|ig|ig s)"
    r"(?: cells?)?"
)


@cache
def _kinds() -> dict[str, str]:
    return {words(word)[0].casefold(): kind for kind, names in _KINDS.items() for word in names.split()}


def sense_of(name: str, numbered: bool = False) -> Sense:
    """The meaning of a single class name; `leuko.data.labels.positive_classes` also considers the other classes.

    Args:
        name: the class name.
        numbered: whether a number at the beginning is only the class number (`0_normal`, `1_leukaemia`).
    """
    written = words(name)
    if numbered and written and written[0].isdigit():
        written = written[1:]
    if signs(name) or not written:
        return "unknown"
    text = " ".join(written).casefold()
    if _CELLS.fullmatch(text):
        return "cells"
    for phrase, instead in _PHRASES:
        text = re.sub(phrase, instead, text)
    found = text.split()
    kinds = [_kinds().get(word, "?") for word in found]
    if "?" in kinds or ({"ball", "tall"} & set(found) and not {"BALL", "TALL"} & set(written)):
        return "unknown"
    capitals = "ALL" in written
    return _sense("".join(kinds), [word for word in found if _kinds()[word] != "n"], capitals, name.isupper())


def _sense(kinds: str, found: list[str], capitals: bool, shouted: bool) -> Sense:
    core = kinds.replace("n", "")
    if "H" in core or re.search("[NM]", core):
        return _of_absence(core)
    if core == "A":
        if kinds == "A":
            return "leukaemia" if capitals else "all"
        return "leukaemia" if capitals and not shouted else "unknown"  # `All cells` may mean all the cells
    if core in ("S", "QS", "SQ"):
        return "stage"
    if core == "E":
        return found[0]  # type: ignore[return-value]
    if core == "F":
        return "L" if found[0].startswith("l") else "M"
    if re.fullmatch("Y?D+E", core):  # Malignant-Pre, but not pre-leukaemia or early malignant
        return "leukaemia"
    if re.fullmatch("[DTABSQFY]+", core) and re.search("[DTAB]", core):
        return "leukaemia"
    return "unknown"


def _of_absence(core: str) -> Sense:
    """The meaning of a name with a word for health or a negation; unknown for all but the simplest forms.

    Non-lymphoblastic and non-ALL leukaemia are leukaemia. A class that is not AML may be leukaemia too.
    """
    if re.fullmatch("H+", core) or re.fullmatch("H*(?:ND|DM)H*", core):
        return "absence"
    if re.fullmatch("H*(?:NA|Q*AM)H*", core):
        return "not all"
    return "unknown"
