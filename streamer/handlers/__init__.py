"""The built-in handlers, and the wrappers that turn functions into handlers."""
