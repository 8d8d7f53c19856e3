import pytest

from cdcore.concepts.subject import Subject, distinct_subjects
from cdcore.errors import TokenError


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


def test_subjects_of_several_concepts_get_tokens_of_their_own() -> None:
    def subjects(*tokens: str | None) -> list[Subject]:
        return [Subject(class_noun="cat", token=token) for token in tokens]

    groups = [
        subjects("<mycat>", None),
        subjects("<mycat>"),
        subjects("<mycat-2>", "<mycat>"),
        subjects(None),
    ]
    distinct, renamed = distinct_subjects(groups)
    assert [[subject.token for subject in group] for group in distinct] == [
        ["<mycat>", None],
        ["<mycat-3>"],
        ["<mycat-2>", "<mycat-4>"],
        [None],
    ]
    assert renamed == {(1, "<mycat>"): "<mycat-3>", (2, "<mycat>"): "<mycat-4>"}
