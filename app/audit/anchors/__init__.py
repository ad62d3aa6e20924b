"""Places outside our reach that keep checkpoints, so that rewritten history is found out.

Whoever holds the signing key and owns the database can rewrite the log and sign it again; what
they signed before, they cannot take back from a locked bucket, a witness or a mailbox.
"""
