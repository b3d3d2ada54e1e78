"""Reports: HTML pages, model cards, tables and plots."""
