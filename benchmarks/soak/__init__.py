"""Everything breaks for ten minutes, and then every request is accounted for: `python -m benchmarks.soak`."""
