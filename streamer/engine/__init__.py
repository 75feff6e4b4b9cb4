"""The service itself. It uses only contracts: no sockets, no files, no plugins."""
