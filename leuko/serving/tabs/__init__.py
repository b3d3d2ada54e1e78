"""The tabs of the page, and the parts they show; their HTML is in `templates/`."""
