"""What the operating system and the Hub's naming ask for: threads, memory, paths."""
