"""The service on AWS: its entry points, and an emulator to run them without an account."""
