"""The pipeline as a list: one file a stage, each reading and writing run directories."""
