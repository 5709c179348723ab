"""What a study is made of: films, reports, sections, labels, splits and manifests. No torch."""
