"""Features of white cells: morphology, texture and shape."""
