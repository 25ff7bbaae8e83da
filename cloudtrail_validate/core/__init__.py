"""Pure values and judgements: no I/O, no clock, no logging; bad content becomes findings, never exceptions."""
