"""What others implement: protocols, with the promise written beside each method."""
