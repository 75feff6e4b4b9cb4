"""AWS on one machine, as far as this package uses it: API Gateway's WebSocket front, Lambda, and what wakes it.

Strict where AWS is strict: what breaks there breaks here, before there is an account.
"""
