"""The standard streams of a process: always open, and safe to write to even without a reader."""
