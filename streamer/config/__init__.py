"""From text to frozen settings: document, environment, schema, lint. Knows nothing of what the settings build."""
