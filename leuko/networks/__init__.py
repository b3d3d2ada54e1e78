"""Networks: architectures, Grad-CAM, ONNX export and runtime, and model folders."""
