"""Sources of images: folders, tables, archives and data sets of the Hub."""
