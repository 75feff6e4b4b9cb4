"""The functions for Lambda, and the service inside them."""
