"""Connections that API Gateway holds: messages are posted to it, and information about them is stored in DynamoDB."""
