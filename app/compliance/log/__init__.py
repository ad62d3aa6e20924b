"""The log for outsiders: checkpoint, entries, proofs, receipts and tiles, for anyone of the
organization. A leaf shows pseudonyms and a hash; what an entry says is for officers.
"""
