"""Real servers for the tests.

moto for AWS's APIs, rclone for an S3 that checks signatures, and a proxy in front of either that injects faults.
Each listens on a free port of 127.0.0.1 and is stopped by whoever started it. Nothing here is imported by the tool.
"""
