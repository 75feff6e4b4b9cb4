"""The standard streams of a process: there from the start, and safe to write to whatever became of their readers."""
