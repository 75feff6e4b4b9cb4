"""Exports a service: from streamer.yaml to an AWS SAM template and package."""
