"""Finds and checks plugins. The only package that imports pluggy; it is not used while requests are processed."""
