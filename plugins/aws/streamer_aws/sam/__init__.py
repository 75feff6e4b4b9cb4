"""The service for other places: from streamer.yaml to what a provider's own tools deploy."""
