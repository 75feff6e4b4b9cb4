"""Commands of the program `streamer`, each imported when it is named."""
