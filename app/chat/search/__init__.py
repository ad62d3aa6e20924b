"""Finding messages whose texts are sealed: by blind words, or by opening and looking.

`words` and `query` are pure; `finding` reads, `access` says for whom; `indexing` keeps the
blind words beside each message, `switch` turns that on and off. See docs/search.md.
"""
