"""Static files named by their content: a browser may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # it has no types
    """Hashes the names inside ES modules' imports as well."""

    support_js_module_import_aggregation = True
    # A pass resolves one level of imports.
    max_post_process_passes = 20
