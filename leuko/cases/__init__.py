"""A case: the fields of one slide, read as one. Cases hold what was found, and no pixels."""
