import pytest

from radlet.core import errors


def all_errors():
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


@pytest.mark.parametrize("error", all_errors())
def test_every_error_is_a_radlet_error_and_prints_its_message_alone(error):
    assert issubclass(error, errors.RadletError)
    assert str(error("what to do")) == "what to do"


@pytest.mark.parametrize("error", all_errors())
def test_the_drawn_tree_names_every_error(error):
    assert error.__name__ in (errors.__doc__ or "")
