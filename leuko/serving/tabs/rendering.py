"""HTML from the templates beside this module; everything put into them is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from leuko.decision.fusion import percent

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,  # a misspelt name is an error and not an empty text
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.filters["percent"] = percent


@dataclass(frozen=True)
class Fact:
    """A line of a list of facts.

    Attributes:
        name: what it is about.
        value: the text.
        strong: text in bold before it.
        hint: shown when the mouse rests on it.
    """

    name: str
    value: str = ""
    strong: str = ""
    hint: str = ""


def render(template: str, **values: Any) -> str:
    """The HTML of a template (its name without `.html.jinja`), with these values."""
    return str.__str__(_TEMPLATES.get_template(f"{template}.html.jinja").render(values))


def rendered(html: str) -> Markup:
    """HTML that `render` returned, to be put into another template as it is; never other text."""
    return Markup(html)


def sections(*parts: str) -> str:
    """Parts of the page, each from `render`, one below the other."""
    return render("sections", sections=[rendered(part) for part in parts])


def status_card(title: str, text: str, *items: str) -> str:
    """A card that says what is going on: a title, a sentence, and a list of notes."""
    return render("status_card", title=title, text=text, items=items)
