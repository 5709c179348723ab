"""Quality of films and reports: measured by checks, each of which ignores, flags or rejects as the recipe says.

`QUALITY_CHECKS` lists them (see `base.FilmCheck` and `base.SetCheck`). To add one: a new module with a class of either
kind, and one line here. Stage `quality` runs them over an ingest run; `selection` is how `build` takes its word.
"""

from radlet.core.registry import Registry

QUALITY_CHECKS = Registry(
    "quality_checks",
    {
        "blank": "radlet.data.quality.blank:Blank",
        "contrast": "radlet.data.quality.contrast:Contrast",
        "clipping": "radlet.data.quality.clipping:Clipping",
        "brightness": "radlet.data.quality.brightness:Brightness",
        "levels": "radlet.data.quality.levels:Levels",
        "cropped": "radlet.data.quality.cropped:Cropped",
        "margins": "radlet.data.quality.margins:Margins",
        "inverted": "radlet.data.quality.inverted:Inverted",
        "turned": "radlet.data.quality.turned:Turned",
        "body_part": "radlet.data.quality.body_part:BodyPart",
        "view": "radlet.data.quality.view:ViewContradicted",
        "panels": "radlet.data.quality.panels:Panels",
        "small": "radlet.data.quality.small:Small",
        "aspect": "radlet.data.quality.aspect:Aspect",
        "duplicate_images": "radlet.data.quality.duplicate_images:DuplicateImages",
        "duplicate_texts": "radlet.data.quality.duplicate_texts:DuplicateTexts",
    },
)

__all__ = ["QUALITY_CHECKS"]
