"""The version of Deep Leuko, and the notice that goes with every answer."""

from __future__ import annotations

VERSION = "0.1.0"
RESEARCH_NOTICE = "Research use only. Not a medical device and not a diagnosis."
