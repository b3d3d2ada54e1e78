"""What all rooms need: the version, threads, memory, Hub ids, and optional packages."""
