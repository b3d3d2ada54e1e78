"""Serving: what one upload becomes, and the page and endpoints around it."""
