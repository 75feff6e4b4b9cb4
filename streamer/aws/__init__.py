"""AWS. So far: an emulator of what calls a service there, driven with handlers of one's own.

The Lambda entry points that it is to run are not there yet, and so no command serves it.
"""
