"""Words: errors, units, messages, records and the clock. No I/O, no await."""
