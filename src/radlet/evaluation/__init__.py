"""Judge a model beside its baselines: tasks, scorecard, page."""
