"""Connections that API Gateway holds: messages are posted to it, and what is known of them is kept in DynamoDB."""
