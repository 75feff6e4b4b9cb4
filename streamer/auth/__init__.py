"""Who may connect: tokens to principals. PyJWT and cryptography are imported only when a file uses them."""
