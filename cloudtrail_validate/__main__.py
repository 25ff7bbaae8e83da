"""`python -m cloudtrail_validate` is `ctvalidate`."""

from cloudtrail_validate.start import entry

if __name__ == "__main__":  # a worker process that is spawned imports this module under another name
    entry()
