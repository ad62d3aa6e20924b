"""A client of `rt.v1` in Python: needs msgspec and websockets, and nothing of the server.

The load tests and the fault tests speak through it. The same in another language:
docs/protocol.md, "Writing a client".
"""
