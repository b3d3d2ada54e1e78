"""The API for programs: Gradio's endpoints, one call of plain HTTP, and its OpenAPI document."""
