"""Which case to ask the reader for next: scores of stored cases, kept and chosen from inside the server."""
