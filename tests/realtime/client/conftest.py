from tests.shared_server import live_db, server, shared

__all__ = ["live_db", "server", "shared"]
