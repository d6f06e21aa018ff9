"""Follow one query from the command line: `python -m kitlib follow`, `explain`, and `kubectl follow-dns`."""
