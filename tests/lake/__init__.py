"""Results of CloudTrail Lake queries."""
