"""Serving: the web page (`tabs`), the API for programs (`api`), and what keeps Gradio within limits (`gradio`)."""
