"""What this service costs, beside its peers, in one run: `python -m benchmarks`."""
