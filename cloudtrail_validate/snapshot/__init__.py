"""Snapshots: a validated trail in a folder of its own, which can be proven again without AWS.

    DIR/manifest.json          what was asked, and every other file of the snapshot with its SHA-256 and size
    DIR/manifest.sha256        the manifest's own SHA-256, as `sha256sum` writes it
    DIR/manifest.sig           signature over manifest.json, base64, where the user signs (and manifest.pub.pem)
    DIR/statement.dsse.json    an in-toto Statement about it in a DSSE envelope, by the same key
    DIR/manifest.tsr           an RFC 3161 time stamp over manifest.json, where one was asked for
    DIR/DECLARATION.md         what the tool knows about the copy, for a person to complete and sign
    DIR/report.json            the report of the validation that made the snapshot
    DIR/keys.json              every public key that the validation asked for
    DIR/tree/KEY               digests and logs of the trail's bucket, byte for byte as stored; a digest's metadata, its
                               signature among them, in KEY.metadata.json
    DIR/trees/BUCKET/KEY       the same for other buckets that a chain leads to
    DIR/journal.jsonl          only while a snapshot is unfinished: what has been copied so far

An object is fetched once. What was fetched is what the snapshot holds and what its report judges; a run that goes on
with an unfinished snapshot hashes each file that is there against the journal and fetches only what is missing or
damaged.
"""
