"""The templates of all reports: HTML (escaped) and Markdown, in `templates/`."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from leuko.system.about import RESEARCH_NOTICE, VERSION

_ENVIRONMENT = Environment(
    loader=PackageLoader("leuko.reports", "templates"),
    autoescape=select_autoescape(enabled_extensions=("html.jinja",)),
    undefined=StrictUndefined,  # a template that names a missing value fails, instead of leaving a gap
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.globals |= {"research_notice": RESEARCH_NOTICE, "version": VERSION}


def render(template: str, **content: object) -> str:
    """Fill a template.

    Args:
        template: file name in `templates/`.
        content: the values it names.
    """
    return _ENVIRONMENT.get_template(template).render(**content)
