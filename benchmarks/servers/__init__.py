"""The peers. Each is a program: `python -m benchmarks.servers.NAME PORT`."""
