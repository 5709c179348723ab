import pytest
import torch

from radlet.inference.decoding import Guided, write
from radlet.inference.engines.base import Sampling

END = 0


class ScriptedReader:
    """Answers each row with the tokens of a list, by logits that are high at the token; keeps what it was told."""

    def __init__(self, *answers: list[int], sharpness: float = 10.0) -> None:
        self.answers, self.at, self.sharpness = [list(answer) for answer in answers], 0, sharpness
        self.kept: list[list[int]] = []
        self.read_tokens: list[list[int]] = []

    def read(self) -> torch.Tensor:
        return self._logits()

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        self.read_tokens.append(tokens.tolist())
        self.at += 1
        return self._logits()

    def keep(self, rows: torch.Tensor) -> None:
        self.kept.append(rows.tolist())
        self.answers = [self.answers[row] for row in rows.tolist()]

    def _logits(self) -> torch.Tensor:
        logits = torch.zeros(len(self.answers), 8)
        for row, answer in enumerate(self.answers):
            logits[row, answer[self.at]] = self.sharpness
        return logits


def test_rows_that_have_ended_are_dropped_and_the_others_go_on() -> None:
    reader = ScriptedReader([5, END], [1, 2, 3, END], [END], [4, 4, END])
    assert write(reader, Sampling(), (END,)) == [[5], [1, 2, 3], [], [4, 4]]
    assert reader.kept == [[0, 1, 3], [1, 2], [0]]
    assert reader.read_tokens == [[5, 1, 4], [2, 4], [3]]


def test_an_answer_is_cut_at_its_longest_and_nothing_is_read_for_nobody() -> None:
    reader = ScriptedReader([1, 2, 3, 4])
    assert write(reader, Sampling(max_new_tokens=2), (END,)) == [[1, 2]]
    assert reader.read_tokens == [[1]]


def test_guidance_is_equation_7_and_drops_rows_on_both_sides() -> None:
    seeing, blind = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([[0.5, 2.5, 0.0]])

    class Fixed:
        def __init__(self, logits: torch.Tensor) -> None:
            self.logits, self.kept = logits, 0

        def read(self) -> torch.Tensor:
            return self.logits

        def step(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.logits

        def keep(self, rows: torch.Tensor) -> None:
            self.kept += 1

    one, other = Fixed(seeing), Fixed(blind)
    guided = Guided(one, other, 3.0)
    expected = 3.0 * seeing.log_softmax(-1) - 2.0 * blind.log_softmax(-1)
    torch.testing.assert_close(guided.read(), expected)
    torch.testing.assert_close(guided.step(torch.tensor([1])), expected)
    guided.keep(torch.tensor([0]))
    assert (one.kept, other.kept) == (1, 1)


def test_draws_repeat_with_their_seed_and_do_not_depend_on_rows_that_end() -> None:
    def draw(seed: int, *answers: list[int]) -> list[list[int]]:
        return write(
            ScriptedReader(*answers, sharpness=0.0), Sampling(temperature=1.0, seed=seed, max_new_tokens=12), ()
        )

    flat = [[1] * 13] * 3
    assert draw(0, *flat) == draw(0, *flat)
    assert draw(0, *flat) != draw(1, *flat)
    assert draw(0, *flat)[0] == draw(0, flat[0])[0]


def test_top_p_keeps_the_likeliest_alone() -> None:
    reader = ScriptedReader([3] * 20, sharpness=2.0)  # token 3 has a share of 0.51
    assert write(reader, Sampling(temperature=1.0, top_p=0.5, max_new_tokens=19), (END,)) == [[3] * 19]


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_flattens_the_draws(temperature: float) -> None:
    drawn = write(ScriptedReader([3] * 400, sharpness=2.0), Sampling(temperature=temperature, max_new_tokens=399), ())[
        0
    ]
    share = float(torch.tensor([0.0] * 7 + [2.0]).div(temperature).softmax(-1)[-1])
    assert drawn.count(3) / 399 == pytest.approx(share, abs=0.08)
