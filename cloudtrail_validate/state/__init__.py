"""Memory of a trail between runs: what was proven, by its listing; the newest digest of each chain; findings still open."""
