from radlet.stages.pipeline import _config, _split_overrides, shipped_recipes


def test_the_baseline_without_films_follows_what_is_changed_in_the_recipe_it_is_made_of(tmp_path):
    changes = _split_overrides(["finetune.training.loop.epochs=2", "finetune-no_image.training.loop.lr=0.5"])
    tuned, blind = (
        _config(recipe, shipped_recipes("tiny"), tmp_path, changes, {}) for recipe in ("finetune", "finetune-no_image")
    )
    assert (tuned.training.loop.epochs, blind.training.loop.epochs) == (2, 2)
    assert (tuned.films, blind.films) == ("as_aligned", "none")
    assert tuned.training.loop.lr != blind.training.loop.lr == 0.5
