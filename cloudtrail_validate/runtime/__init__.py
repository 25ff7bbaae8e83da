"""The event loop and its limits."""
