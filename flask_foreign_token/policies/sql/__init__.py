"""The engine ``sql``, and the databases that it asks."""
