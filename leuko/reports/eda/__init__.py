"""The data report (exploratory data analysis)."""
