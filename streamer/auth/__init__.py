"""Authentication by JSON Web Tokens. PyJWT and cryptography are imported only when a file uses them."""
