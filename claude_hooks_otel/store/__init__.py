"""The embedded store: one SQLite file. Each room brings its own tables and says what it forgets."""
