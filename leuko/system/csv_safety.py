"""Text for CSV files that people open in a spreadsheet."""

from __future__ import annotations

# How a formula begins in the spreadsheets in use; the last four are full-width characters, which Excel accepts too.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def escape_formula(text: str) -> str:
    """A text that no spreadsheet runs as a formula: one that looks like a formula gets an apostrophe in front.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    is_formula = text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS)
    return f"'{text}" if is_formula else text
