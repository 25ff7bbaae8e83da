"""The stages of one validation: plan, list, prove, read, settle."""
