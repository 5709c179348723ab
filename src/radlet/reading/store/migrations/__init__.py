"""Steps from one version of the tables to the next, and how Alembic runs them."""
