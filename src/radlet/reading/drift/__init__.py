"""Drift: do the films and the drafts of a reading room still look like those its model was made with?"""
