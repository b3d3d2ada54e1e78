"""A case: what all fields of one slide say together.

Cells of all fields are pooled, each counted once. The network's answers are pooled over the fields that it knows. The
fields of one slide share its stain and patient, so they are no independent witnesses: the mean of their log-odds counts
as one answer. Cells and network are joined by the rules for a single image (`leuko.decision.fusion`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import ceil
from typing import Any, Literal, get_args

import numpy as np
from scipy.special import expit, logit

from leuko.cases import review
from leuko.cases.field_record import FieldRecord
from leuko.cases.pooled_cells import Overlap, PooledCell, find_overlaps, pool
from leuko.cases.registration import Structure
from leuko.cases.review import Change
from leuko.cells.blast_share import REFERENCE_LINES, BlastShare, with_count
from leuko.cells.differential import Differential
from leuko.cells.kinds.names import SMUDGE
from leuko.decision import cell_score
from leuko.decision.calibration import OperatingPoint
from leuko.decision.cell_score import CellScore
from leuko.decision.fusion import Verdict
from leuko.inference.finding import rounded
from leuko.stats.proportions import clopper_pearson_interval

Specimen = Literal["blood", "marrow"]
SPECIMENS: tuple[Specimen, ...] = get_args(Specimen)
TARGETS = {"blood": 200, "marrow": 500}  # cells in a differential count, ICSH 2008
SIZES = (100, 200, 500)  # of counts whose limits are shown, as in Rümke's tables
SURE = 1e-6  # a network's probability is taken for no surer than this
MIN_KNOWN = 0.5  # least share of the fields that must be in distribution for the network to count
NO_LOWER_BOUND = (
    "For B-ALL there is no agreed lower bound of blasts: many protocols take 25 %; below 20 % a diagnosis is avoided."
)
_ORDER = {"suspicious": 0, "uncertain": 1, "not suspicious": 2}


@dataclass(frozen=True)
class Case:
    """The fields of one slide.

    Attributes:
        fields: in the order in which they were given.
        specimen: blood or marrow, as the user says.
        point: the operating point of the network.
        overlaps: of the fields.
        count_smudges: whether smudge cells are white cells in the differential count.
        changes: the log of the review.
    """

    fields: tuple[FieldRecord, ...]
    specimen: Specimen
    point: OperatingPoint
    overlaps: tuple[Overlap, ...]
    count_smudges: bool = False
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(
        cls,
        fields: Sequence[FieldRecord],
        structures: Sequence[Structure],
        specimen: Specimen,
        point: OperatingPoint,
        count_smudges: bool = False,
    ) -> Case:
        """The case of some fields, whose overlaps are found here by the structure of each."""
        return cls(tuple(fields), specimen, point, tuple(find_overlaps(fields, structures)), count_smudges)

    @property
    def computed(self) -> Case:
        """The case before any review."""
        return replace(self, changes=())

    def reviewed(self, *changes: Change) -> Case:
        """The case after more changes.

        Raises:
            leuko.cases.review.ReviewError: a change does not fit.
        """
        pooled, cells, log = pool(self.fields, self.overlaps), self.cells, self.changes
        for change in changes:
            types = {
                (self.fields[field].name, number): each.cell.type for each in cells for field, number in each.sightings
            }
            before = types.get((change.image, change.cell if change.cell is not None else -1), "")
            log = (*log, replace(change, before=before))
            cells = tuple(review.apply(pooled, self.fields, self.overlaps, log))
        return replace(self, changes=log)

    @cached_property
    def cells(self) -> tuple[PooledCell, ...]:
        """The counted cells of the slide as reviewed, each once; smudge cells, too."""
        computed = pool(self.fields, self.overlaps)
        return tuple(review.apply(computed, self.fields, self.overlaps, self.changes))

    @cached_property
    def counted(self) -> Counter[int]:
        """How many white cells and erythroblasts each field contributes, by its number."""
        return Counter(each.field for each in self.cells if each.cell.type != SMUDGE)

    @property
    def repeats(self) -> int:
        """How many sightings of counted cells are left out, because another field shows the same cell."""
        return sum(len(each.also_in) for each in self.cells)

    @cached_property
    def differential(self) -> Differential:
        """The differential count of all fields."""
        types = [each.cell.type for each in self.cells if each.cell.type != SMUDGE]
        smudges = len(self.cells) - len(types) if any(field.looks_for_smudges for field in self.fields) else None
        return Differential.of(types, smudges, self.count_smudges)

    @cached_property
    def blast_share(self) -> BlastShare:
        """The share of blasts among the nucleated cells of all fields."""
        found = (each.cell.blast_probability for each in self.cells)
        return BlastShare(tuple(probability for probability in found if probability is not None))

    @cached_property
    def verdict(self) -> Verdict:
        """The decision about the slide."""
        fit = [field for field in self.fields if field.fit]
        issues = () if fit else ("No field is good enough to be judged." if self.fields else "No field could be read.",)
        fit = list({field.digest: field for field in fit}.values())  # a field that was given twice counts once
        network = self._network(fit)
        # Without a class that means leukaemia, cells cannot speak of it either, as in one image.
        score = None if network is None and fit else self._cell_score()
        return Verdict(self.point, network, self._ood_reason(fit), score, issues)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the decision is as it is, and what the count can tell, a sentence each."""
        return (*self.verdict.reasons, *self.outlook)

    @property
    def outlook(self) -> tuple[str, ...]:
        """How far the count is, and what it can tell, a sentence each."""
        share, target = self.blast_share, TARGETS[self.specimen]
        usable = len({each.field for each in self.cells})
        lines = [f"{share.nucleated} of {target} cells of a differential count of {self.specimen}."]
        if 0 < share.nucleated < target:
            more = ceil((target - share.nucleated) / (share.nucleated / usable))
            lines[0] = f"{lines[0][:-1]}; about {with_count(more, 'more field')} like these."
        if share.share is None:
            return tuple(lines)
        limits = (
            f"{100 * limit['low']:.0f} to {100 * limit['high']:.0f} % with {size} cells" for size, limit in self.limits
        )
        lines.append(f"This share, if it were counted, would stand for {', '.join(limits)} (exact 95 % limits).")
        if self.specimen == "marrow":
            low, high = share.interval
            for line in REFERENCE_LINES:
                place = "below" if high < line else "above" if low > line else "possibly below or above"
                lines.append(f"The share of blasts is {place} the line of {100 * line:.0f} %.")
            lines.append(NO_LOWER_BOUND)
        return tuple(lines)

    @property
    def limits(self) -> list[tuple[int, dict[str, float]]]:
        """The exact 95 % limits of the share of blasts for counts of `SIZES`; none without a share."""
        share = self.blast_share.share
        return [] if share is None else [(size, clopper_pearson_interval(share, size)) for size in SIZES]

    @property
    def worklist(self) -> list[int]:
        """Numbers of the fields, those to be looked at first first: suspicious, uncertain, not suspicious, unfit."""
        return sorted(range(len(self.fields)), key=lambda i: (not self.fields[i].fit, _ORDER[self.fields[i].decision]))

    @property
    def left_out(self) -> list[str]:
        """The fields whose cells are not counted and why, a sentence each."""
        return [f"{field.name}: {field.why_no_cells}" for field in self.fields if field.why_no_cells]

    def as_json(self) -> dict[str, Any]:
        """The case as JSON-ready values, see docs/case.md."""
        verdict = self.verdict
        return {
            "specimen": self.specimen,
            **self._figures_json(),
            "reasons": list(self.reasons),
            "evidence": {
                "network": rounded(verdict.network),
                "cells": rounded(verdict.cells.probability if verdict.cells else None),
            },
            "in_distribution": not verdict.ood_reason,
            "review": self._review_json() if self.changes else None,
            "seen_again": self.repeats,
            "fields": [
                {
                    "image": field.name,
                    "decision": field.decision,
                    "headline": field.headline,
                    "network": rounded(field.network),
                    "in_distribution": not field.ood_reason,
                    "counted": self.counted[number],
                    "left_out": field.why_no_cells or None,
                }
                for number, field in enumerate(self.fields)
            ],
            "overlaps": [
                {
                    "images": [self.fields[overlap.first].name, self.fields[overlap.second].name],
                    "shift": [round(overlap.shift.x, 1), round(overlap.shift.y, 1)],
                    "share": round(overlap.shift.share, 3),
                }
                for overlap in self.overlaps
            ],
            "cells": [
                {
                    "image": self.fields[each.field].name,
                    "id": each.cell.id,
                    "x": round(each.cell.x, 1),
                    "y": round(each.cell.y, 1),
                    "type": each.cell.type,
                    "blast_probability": rounded(each.cell.blast_probability),
                    "also_in": [{"image": self.fields[field].name, "id": number} for field, number in each.also_in],
                }
                for each in self.cells
            ],
        }

    def _figures_json(self) -> dict[str, Any]:
        """What a review changes."""
        verdict, share = self.verdict, self.blast_share
        return {
            "decision": verdict.decision,
            "headline": verdict.headline,
            "leukaemia_probability": rounded(verdict.probability),
            "blast_share": {
                "blasts": share.blasts,
                "nucleated": share.nucleated,
                "share": share.share,
                "interval": list(share.interval),
                "limits": {str(size): [limit["low"], limit["high"]] for size, limit in self.limits},
            },
            "differential": self.differential.as_json(),
        }

    def _review_json(self) -> dict[str, Any]:
        """The log, and the figures before the review."""
        return {"changes": [asdict(change) for change in self.changes], "computed": self.computed._figures_json()}

    def _network(self, fit: Sequence[FieldRecord]) -> float | None:
        """The network's pooled probability, of the fields it knows or, where it counts for none, of all."""
        known = [field for field in fit if not field.ood_reason] or fit
        found = [field.network for field in known if field.network is not None]
        return float(expit(np.mean(logit(np.clip(found, SURE, 1 - SURE))))) if found else None

    @staticmethod
    def _ood_reason(fit: Sequence[FieldRecord]) -> str:
        reasons = Counter(field.ood_reason for field in fit if field.ood_reason)
        unknown = sum(reasons.values())
        if unknown <= (1 - MIN_KNOWN) * len(fit):
            return ""
        most = "mostly: " if len(reasons) > 1 else ""
        return f"{unknown} of {with_count(len(fit), 'field')}, {most}{reasons.most_common(1)[0][0]}"

    def _cell_score(self) -> CellScore:
        share = self.blast_share
        if not share.nucleated:
            return CellScore(0, 0, 0, None, "no white cell with a nucleus was counted in any field")
        score = cell_score.pooled_score(np.array(share.probabilities))
        return CellScore(share.nucleated, share.nucleated, share.blasts, score)
