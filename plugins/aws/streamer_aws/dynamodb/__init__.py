"""DynamoDB: calls, values and tables, for all parts of the plugin that store data in it."""
