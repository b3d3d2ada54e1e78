"""Limits, privacy, uploads and reverse proxies of a Gradio app; its private parts are used in one module only."""
