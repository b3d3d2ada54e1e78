"""Training of networks: from a data set to a model folder."""
