"""The script that a Python of its own runs; alone in its folder, which that Python puts before its packages."""
