"""What independent sources say against the logs."""
