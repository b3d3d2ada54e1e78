"""What one writes to ask a model about an image: transformers and timm."""

import json
import sys

from PIL import Image
from transformers import pipeline

ask = pipeline("image-classification", model=sys.argv[1], top_k=None)
image = Image.open(sys.argv[2]).convert("RGB")
probabilities = {answer["label"]: round(answer["score"], 4) for answer in ask(image)}
print(json.dumps({"image": sys.argv[2], "probabilities": probabilities}))
