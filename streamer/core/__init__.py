"""The basic terms: errors, units, messages, records and the clock. No I/O, no await."""
