"""How messages reach connections."""
