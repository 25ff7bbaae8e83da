"""Bucket and key policies: a small evaluator that says what a document allows, and the checks that use it.

`document` reads, `patterns` and `conditions` compare, `decide` decides; `questions` are what is put to a bucket policy,
`checks` what is made of the answers, `amend` the policy that would answer better.
"""
