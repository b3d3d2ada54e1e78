"""The kinds of nucleated cells that are told apart."""

from __future__ import annotations

import re

BLAST = "blast"
# Of a differential count of blood, ICSH 2008 (doi:10.1111/j.1751-553X.2008.01100.x).
MATURE_KINDS = "neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil"
NORMAL_KINDS = (*MATURE_KINDS, "immature_granulocyte", "erythroblast")
KINDS = (*NORMAL_KINDS, BLAST)  # the answers of the network, in its order
# How common normal kinds are in the blood of adults, about (Bain, *Blood Cells*), with a few of the kinds that only
# marrow or a left shift shows; sum 1.
NORMAL_SHARES = {
    "neutrophil": 0.55, "lymphocyte": 0.3, "monocyte": 0.06, "eosinophil": 0.03, "basophil": 0.01,
    "immature_granulocyte": 0.02, "erythroblast": 0.03,
}  # fmt: skip
SMUDGE = "smudge"
UNKNOWN = "unknown"
# Other names of kinds, in the spelling of `kind_of`.
_OTHER_NAMES = {
    "neutrophil": (
        "band", "stab", "band_neutrophil", "neutrophil_band", "segmented_neutrophil", "neutrophil_segmented",
        "segmented", "seg", "ne", "polymorph", "granulocyte_neutrophil",
    ),
    "lymphocyte": (
        "lymphocyte_variant", "variant_lymphocyte", "reactive_lymphocyte", "atypical_lymphocyte",
        "lymphocyte_atypical", "lymphocyte_reactive", "typical_lymphocyte", "lymphocyte_typical", "lym", "ly",
    ),
    "monocyte": ("mono", "mo"),
    "eosinophil": ("eos", "eo"),
    "basophil": ("baso", "ba"),
    "immature_granulocyte": ("ig", "promyelocyte", "myelocyte", "metamyelocyte", "immature_neutrophil"),
    "erythroblast": ("normoblast", "nrbc", "nucleated_red_cell", "nucleated_red_blood_cell"),
    "blast": ("lymphoblast", "myeloblast", "monoblast", "blast_no_lineage_spec", "blast_cell", "leukaemic_blast"),
}  # fmt: skip
_BY_NAME = {name: kind for kind in KINDS for name in (kind, *_OTHER_NAMES[kind])}


def kind_of(name: str) -> str | None:
    """The kind that a name means, also in plural, with spaces or hyphens, or by a usual other name; else None."""
    plain = re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
    return _BY_NAME.get(plain) or _BY_NAME.get(plain.removesuffix("s"))
