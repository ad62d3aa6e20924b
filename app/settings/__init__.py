"""Where the environment becomes settings."""
