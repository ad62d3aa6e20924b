"""Makes the tables of the sample models, as their owner."""

import psycopg2
from django.db import connection

from tests.encryption.sample import Letter, Plain, Stock, Vault

_SAMPLES = (Letter, Plain, Vault, Stock)


def make_tables(owner_url: str) -> None:
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        for model in _SAMPLES:
            editor.create_model(model)
    with psycopg2.connect(owner_url) as owner, owner.cursor() as cursor:
        for statement in editor.collected_sql:
            cursor.execute(statement)
    owner.close()
