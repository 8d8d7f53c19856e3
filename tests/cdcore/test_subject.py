import pytest

from cdcore.errors import TokenError
from cdcore.subject import Subject


def test_a_phrase_names_the_token_before_the_noun_and_target_prompts_name_the_phrase() -> None:
    subject = Subject(class_noun="wooden pot", token="<mypot>")
    assert subject.phrase == "<mypot> wooden pot"
    assert subject.target_prompts == ("<mypot> wooden pot", "photo of a <mypot> wooden pot")


def test_without_a_token_the_noun_itself_is_taught() -> None:
    subject = Subject(class_noun="cat", token=None)
    assert subject.target_prompts == ("cat", "photo of a cat")


@pytest.mark.parametrize("token", ["mycat", "<my cat>", "<>", "<MyCat>", "<a>b", "<größe>", ""])
def test_a_token_that_no_prompt_could_name_is_refused(token: str) -> None:
    with pytest.raises(TokenError, match="angle brackets"):
        Subject(class_noun="cat", token=token)
