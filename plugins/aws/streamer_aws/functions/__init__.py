"""The functions that Lambda calls, and the service inside of them."""
