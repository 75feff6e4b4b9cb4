"""The admin port: probes, metrics and an HTTP API for operators. Nothing here is loaded unless the file turns it on."""
