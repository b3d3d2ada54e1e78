"""What a demo of a timm model usually is: plain `gr.Interface`, eager PyTorch, the default queue."""

import sys

import gradio as gr
import timm
import torch
from PIL import Image

torch.set_num_threads(int(sys.argv[2]))
network = timm.create_model(f"local-dir:{sys.argv[1]}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))


def classify(image: Image.Image) -> dict[str, float]:
    with torch.inference_mode():
        probabilities = network(transform(image.convert("RGB"))[None]).softmax(dim=1)[0]
    return {str(number): float(p) for number, p in enumerate(probabilities)}


gr.Interface(classify, gr.Image(type="pil"), gr.Label(), api_name="classify").launch()
