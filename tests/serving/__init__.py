"""The server: API, batching, limits, feedback, its end."""
