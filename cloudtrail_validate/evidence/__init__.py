"""Evidence beyond a verdict: older versions, explaining events, originals, the proof of one file."""
