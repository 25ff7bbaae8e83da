"""Benchmarks that anyone can run again: `python -m benchmarks.NAME`, from a checkout with the test extra installed.

Each compares processes that do the same work, in interleaved rounds on the same computer, checks that every one of them
did the whole work, and prints medians and ratios. Ratios carry from one computer to another; seconds do not.

    trail            aws-cli and ctvalidate on one trail, and a bare loop that only fetches, inflates and hashes
    cost             what a log, a digest and a start cost, beside aws-cli and other checkouts
    local            a local copy on all cores, against bare inflating and hashing
    scaling          the rate with 1 to N processes, and what `auto` decides
    schedule         a very large run on paper: requests, dollars, hours, and the merge
    large            large logs from S3, against what one core inflates and hashes
    memory           peak memory and time as the number of logs grows
    organization     many accounts and regions with hardly anything in them
    startup          how long a command takes that does nothing
    first_finding    how soon an altered log is named
    server           the S3 and CloudTrail responder behind all of them
"""
