"""AWS on one machine, as far as this package uses it: API Gateway's WebSocket API, Lambda, and its event sources.

It enforces the limits of AWS: code that would fail there fails here, without an account.
"""
