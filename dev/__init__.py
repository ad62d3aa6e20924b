"""What one machine needs to run Parley: real PostgreSQL and Redis, and a supervisor.

Development and tests only. Nothing under `app/` imports this package.
"""
