"""The questions of the lesson notebooks, a file for each notebook."""
