import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.errors import ConfigError
from radlet.training.augmentation import AugmentationConfig
from radlet.training.loop import LoopConfig, _check_shares, _Rows, epoch_rows
from radlet.training.rows import rarity_weights
from radlet.training.world import World


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_draws_every_row_once_and_repeats_with_its_seed(rows: int, batch: int, seed: int, epoch: int) -> None:
    order = epoch_rows(seed, epoch, rows, None)
    assert sorted(order) == list(range(rows))
    assert np.array_equal(order, epoch_rows(seed, epoch, rows, None))


def test_weighted_rows_are_drawn_by_weight() -> None:
    drawn = epoch_rows(0, 0, 4000, np.repeat([3.0, 1.0], 2000))
    assert np.mean(drawn < 2000) == pytest.approx(0.75, abs=0.03)


class _Lengths:
    num_rows = 30

    def row_weights(self) -> None:
        return None

    def row_lengths(self) -> np.ndarray:
        return np.arange(30)[::-1] % 7


def test_a_step_keeps_its_rows_and_parts_the_short_from_the_long() -> None:
    lengths = _Lengths().row_lengths()
    whole = _Rows(_Lengths(), seed=1)  # type: ignore[arg-type]
    parted = _Rows(_Lengths(), seed=1)  # type: ignore[arg-type]
    for step in range(9):  # over the end of an epoch and into the next
        (together,) = whole.step(step, LoopConfig(micro_batch_size=8))
        short, long = parted.step(step, LoopConfig(micro_batch_size=4, grad_accum_steps=2))
        assert sorted(together) == sorted([*short, *long])
        assert max(lengths[short]) <= min(lengths[long])


def test_rare_rows_weigh_more() -> None:
    positive = np.array([[True, False], [True, False], [True, True], [False, False]])
    weights = rarity_weights(positive, 1.0)
    assert weights is not None
    assert weights.tolist() == pytest.approx([4 / 3, 4 / 3, 4.0, 4.0])
    assert rarity_weights(positive, 0.0) is None


def test_the_rate_warms_up_and_ends_near_zero() -> None:
    config = LoopConfig(lr=1.0, warmup_share=0.1)
    rates = [config.lr_at(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.001
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize(
    ("epochs", "steps", "expected"), [(1.0, None, 13), (2.0, None, 25), (2.0, 7, 7), (0.01, None, 1)]
)
def test_steps_follow_from_epochs(epochs: float, steps: int | None, expected: int) -> None:
    config = LoopConfig(epochs=epochs, max_steps=steps, micro_batch_size=4, grad_accum_steps=2)
    assert config.num_steps(100) == expected


def test_augmentation_is_seeded_and_off_by_default() -> None:
    films = torch.randn(3, 3, 16, 16)

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    assert AugmentationConfig().apply(films, generator()) is films
    config = AugmentationConfig(rotation_deg=10, translation=0.1, scale=0.1, brightness=0.1, contrast=0.1)
    changed = config.apply(films, generator())
    assert torch.equal(changed, config.apply(films, generator()))
    assert not torch.allclose(changed, films)


def test_augmentation_never_mirrors() -> None:
    film = torch.zeros(1, 3, 32, 32)
    film[..., :, 20:] = 1.0
    config = AugmentationConfig(rotation_deg=15, translation=0.05, scale=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        changed = config.apply(film, generator)
        assert changed[..., 16:].mean() > changed[..., :16].mean()


@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_the_rows_of_a_step_in_as_many_micro_batches(size: int) -> None:
    config = LoopConfig(micro_batch_size=3, grad_accum_steps=2)
    rows = _Rows(_Lengths(), seed=1)  # type: ignore[arg-type]
    for step in range(9):
        whole = np.concatenate(rows.step(step, config))
        shares = [rows.step(step, config, World(rank, size)) for rank in range(size)]
        assert sorted(np.concatenate([row for share in shares for row in share])) == sorted(whole)
        assert len({len(share) for share in shares}) == 1
        assert max(len(batch) for share in shares for batch in share) <= 3


def test_a_micro_batch_whose_company_matters_is_shared_out() -> None:
    class Company(_Lengths):
        def row_lengths(self) -> None:  # type: ignore[override]
            return None

    config = LoopConfig(micro_batch_size=5, grad_accum_steps=2)
    rows = _Rows(Company(), seed=1)  # type: ignore[arg-type]
    shares = [rows.step(0, config, World(rank, 2)) for rank in range(2)]
    for number, batch in enumerate(rows.step(0, config)):
        assert np.concatenate([share[number] for share in shares]).tolist() == batch.tolist()


def test_more_processes_than_rows_are_refused() -> None:
    config = LoopConfig(micro_batch_size=2, grad_accum_steps=2)
    _check_shares(config, World(0, 4), company_matters=False)
    with pytest.raises(ConfigError, match=r"5 processes cannot share 4 rows .*micro_batch_size x grad_accum_steps"):
        _check_shares(config, World(0, 5), company_matters=False)
    with pytest.raises(ConfigError, match=r"3 processes cannot share 2 rows \(loop.micro_batch_size\)"):
        _check_shares(config, World(0, 3), company_matters=True)
