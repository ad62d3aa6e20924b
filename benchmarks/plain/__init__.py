"""What somebody writes who needs to send messages with an audit trail, and nothing more: a Django
view, the ORM and django-auditlog, as their manuals have it. A peer of the REST API."""
