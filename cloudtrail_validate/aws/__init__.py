"""What is asked of AWS besides objects: identity, the trail, public keys, event history."""
