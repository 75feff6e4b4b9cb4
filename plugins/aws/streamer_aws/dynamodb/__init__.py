"""DynamoDB: calls, values and tables, for everything here that keeps something there."""
