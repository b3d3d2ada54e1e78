"""Training of the network that tells kinds of cells apart."""
