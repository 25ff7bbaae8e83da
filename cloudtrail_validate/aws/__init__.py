"""Asks AWS for what is no object: identity, the trail, public keys, event history."""
