"""A case as one file (`.leuko`): a zip with the case as JSON, its digest and its signature; no pixels.

case.json    what `CaseFile` holds, without the signature
seal.json    the format, the SHA-256 of case.json, and the signature

A signature says who signed, when, and over which content. It is no proof of identity: anybody can write any name.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from leuko.cases.case import Case
from leuko.cases.review import REVIEW_KINDS, Change, ReviewError
from leuko.system.about import VERSION

SUFFIX = ".leuko"
FORMAT = 1
CONTENT, SEAL = "case.json", "seal.json"
MAX_FILE_BYTES, MAX_CONTENT_BYTES = 50 * 1024**2, 200 * 1024**2


class CaseFileError(ValueError):
    """A file that is no case, or a damaged one; the message says what to do."""


@dataclass(frozen=True)
class Signature:
    """Who signed a case.

    Attributes:
        who: name.
        when: ISO 8601, with the time zone.
        sha256: of the content that was signed.
    """

    who: str
    when: str
    sha256: str


@dataclass(frozen=True)
class CaseFile:
    """A case with what it was made by.

    Attributes:
        case: its fields, cells and changes.
        model: name, version and backbone of the model that read the fields.
        version: of Deep Leuko that read the fields.
        created: when they were read, ISO 8601 with the time zone.
        signature: None while it is not signed.
    """

    case: Case
    model: dict[str, str]
    version: str
    created: str
    signature: Signature | None = None

    @classmethod
    def new(cls, case: Case, model: dict[str, str]) -> CaseFile:
        """The file of a case that was read just now."""
        return cls(case, model, VERSION, now())

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return _sha256(self._content())

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about the file, in sentences."""
        if self.version == VERSION:
            return ()
        return (
            f"The fields were read by version {self.version}; version {VERSION}, which opened the case, might read "
            "them differently.",
        )

    def reviewed(self, *changes: Change) -> CaseFile:
        """The case after changes; it is not signed any more.

        Raises:
            ReviewError: a change does not fit.
        """
        return replace(self, case=self.case.reviewed(*changes), signature=None)

    def signed(self, who: str) -> CaseFile:
        """The case, signed now.

        Raises:
            CaseFileError: there is no name.
        """
        if not who.strip():
            raise CaseFileError("A signature needs a name.")
        return replace(self, signature=Signature(who.strip(), now(), self.digest))

    def as_json(self) -> dict[str, Any]:
        """`Case.as_json` with the model, the versions and the signature, as JSON-ready values."""
        return {
            **self.case.as_json(),
            "model": self.model,
            "version": self.version,
            "created": self.created,
            "signature": self._signature_json(),
            "notes": list(self.notes),
        }

    def to_bytes(self) -> bytes:
        """The file."""
        content = self._content()
        seal = {"format": FORMAT, "sha256": _sha256(content), "signature": self._signature_json()}
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(CONTENT, content)
            packed.writestr(SEAL, json.dumps(seal))
        return stream.getvalue()

    def write(self, file: Path) -> None:
        """Write the file in one step.

        Raises:
            OSError: it cannot be written.
        """
        draft = file.with_name(f"{file.name}.draft")
        try:
            draft.write_bytes(self.to_bytes())
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

    @classmethod
    def read(cls, file: Path) -> CaseFile:
        """Read a file that `write` wrote.

        Raises:
            CaseFileError: it is no case, damaged, changed after it was written, or from another version.
        """
        content, seal = _unpack(file)
        if not isinstance(seal, dict) or seal.get("format") != FORMAT:
            raise CaseFileError(f"{file.name} is a case of another version of Deep Leuko; open it with that version.")
        if _sha256(content) != seal.get("sha256"):
            raise CaseFileError(f"{file.name} was changed after it was written; use a copy that was not.")
        try:
            stored = _FILES.validate_python(_parsed(content))
            signature = _SIGNATURES.validate_python(seal.get("signature"))
            _check(stored.case)
        except (ValidationError, ReviewError, ValueError, ArithmeticError, RecursionError) as error:
            raise CaseFileError(f"{file.name} holds no case that can be read; use another copy.") from error
        if signature and signature.sha256 != seal["sha256"]:
            raise CaseFileError(f"{file.name} has the signature of another case; sign it anew.")
        return replace(stored, signature=signature)

    def _signature_json(self) -> dict[str, str] | None:
        return asdict(self.signature) if self.signature else None

    def _content(self) -> bytes:
        same_types = _FILES.validate_python(asdict(self))  # as after reading: 3 and 3.0 have one digest
        values = {name: value for name, value in asdict(same_types).items() if name != "signature"}
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


_FILES = TypeAdapter(CaseFile)
_SIGNATURES: TypeAdapter[Signature | None] = TypeAdapter(Signature | None)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def now() -> str:
    """The time, ISO 8601 in seconds, with the time zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _unpack(file: Path) -> tuple[bytes, Any]:
    """The content and the seal of a file.

    Raises:
        CaseFileError: it is no zip of a case, or too large.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise CaseFileError(f"{file.name} is too large for a case: {MAX_FILE_BYTES // 1024**2} MB at most.")
        with zipfile.ZipFile(file) as packed:
            sizes = {entry.filename: entry.file_size for entry in packed.infolist()}
            if sizes.keys() != {CONTENT, SEAL} or len(packed.infolist()) != 2:
                raise CaseFileError(f"{file.name} is no case of Deep Leuko.")
            if {entry.compress_type for entry in packed.infolist()} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise CaseFileError(f"{file.name} is no case of Deep Leuko.")
            if max(sizes.values()) > MAX_CONTENT_BYTES:
                raise CaseFileError(f"{file.name} is too large for a case.")
            with packed.open(CONTENT) as content, packed.open(SEAL) as seal:  # never more than is stated
                return content.read(sizes[CONTENT]), _parsed(seal.read(sizes[SEAL]))
    except CaseFileError:
        raise
    except OSError as error:
        raise CaseFileError(f"{file} cannot be read ({error.strerror or error}).") from error
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError) as error:
        raise CaseFileError(f"{file.name} is no case of Deep Leuko, or it is damaged.") from error


def _parsed(text: bytes) -> Any:
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is no number of a case")
    return value


def _check(case: Case) -> None:
    """Whether the parts of a case fit together.

    Raises:
        ValueError: they do not.
    """
    count = len(case.fields)
    if len({field.name for field in case.fields}) < count:
        raise ValueError("two fields have the same name")
    if not all(0 <= overlap.first < overlap.second < count for overlap in case.overlaps):
        raise ValueError("an overlap names no field")
    for field in case.fields:
        if min(field.size) < 1 or len({cell.id for cell in field.cells}) < len(field.cells):
            raise ValueError("a field has no size, or two cells of one number")
        if not all(cell.type in REVIEW_KINDS for cell in field.cells):
            raise ValueError("a kind is none")
        shares = [field.network, *(cell.blast_probability for cell in field.cells)]
        if not all(share is None or 0 <= share <= 1 for share in shares):
            raise ValueError("a probability is none")
    json.dumps(case.as_json(), allow_nan=False)
