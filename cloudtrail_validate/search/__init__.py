"""Searches events in logs while they are validated: each hit says whether a proven digest vouches for its log.

`query` is what is asked for, checked; `uses` are named questions, `expression` bounds JMESPath. `event` has the usual
fields of an event, `records` finds events in whatever a log holds, and `prefilter` knows literals that the bytes of a log
must hold, so that most logs are never parsed. `scanner` is the inflater that looks at what passes through, `hits` are its
answers; `search` goes along with a validation, and joins hits with what became of their logs. The rest are formats.
"""
