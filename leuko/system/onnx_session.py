"""Sessions of ONNX Runtime on the processor, with the same options everywhere."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from leuko.system.threads import cores


def open_session(network: Path | bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open a network, a file or its content, to run on so many threads; None: on all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning takes the cores from others
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
