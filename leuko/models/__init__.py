"""Networks: how they are built and cut, kept in folders, asked, explained and calibrated."""
