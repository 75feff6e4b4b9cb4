"""Finds and checks what plugins offer. The only importer of pluggy, and never on the path of a request."""
