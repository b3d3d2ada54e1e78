"""What of Gradio is patched and guarded."""
