"""What is kept of studies, drafts, edits and signatures, in SQLite or PostgreSQL; pixels stay files."""
