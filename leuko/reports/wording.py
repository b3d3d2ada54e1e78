"""Numbers and lists as parts of a sentence."""

from __future__ import annotations

from collections.abc import Sequence

ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth"}
NO_BREAK = "\u00a0"  # a space at which no line breaks


def percent(share: float) -> str:
    """A share, 0 to 1, as a whole number of per cent."""
    return f"under 1{NO_BREAK}%" if 0 < share < 0.005 else f"{100 * share:.0f}{NO_BREAK}%"


def percent_interval(low: float, high: float) -> str:
    """An interval of shares in per cent, with as many decimals as keep its ends apart."""
    decimals = next((d for d in range(3) if f"{100 * low:.{d}f}" != f"{100 * high:.{d}f}"), 3)
    return f"{100 * low:.{decimals}f} to {100 * high:.{decimals}f}{NO_BREAK}%"


def verb(number: int, singular: str, plural: str) -> str:
    """The form of a verb that agrees with a number."""
    return singular if number == 1 else plural


def count(number: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun: 1 image, 2,768 images."""
    return f"{number:,}{NO_BREAK}{singular if number == 1 else plural or singular + 's'}"


def listed(names: Sequence[str]) -> str:
    """Names as an enumeration: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
