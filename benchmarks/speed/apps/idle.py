"""A Gradio app that answers at once: what the way there and back costs."""

import gradio as gr

with gr.Blocks(analytics_enabled=False) as app:
    gr.Button().click(lambda image: {"image": image}, gr.Image(type="filepath"), gr.JSON(), api_name="classify")
app.queue(default_concurrency_limit=2).launch(show_error=False, ssr_mode=False)
