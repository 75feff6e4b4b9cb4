"""The plugin's commands, each imported when it is used."""
