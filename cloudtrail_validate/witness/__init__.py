"""What independent sources say of the hours of a validation: CloudTrail's event history and the trail's log group.

`core.witness` compares; here sources are asked and kept, logs are read once more, and what is found joins the report.
"""
