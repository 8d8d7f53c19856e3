import json
from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import ConfigError
from cdcore.evaluation.dataset import ConceptSet, read_concept_set

# The published line with the slip, word for word, among right ones.
SCENE_PET = (
    "photo of {0} and the {1}.\n{1} in front of {0}.\n\n"
    "A photo of {0} at dawn with {0} sleeping peacefully.\n{0} in fall season, {1} playing. "
)


def described(name: str, noun: str, *, token: str = "<new1>", article: str = "a ") -> dict:
    return {
        "instance_prompt": f"photo of {article}{token} {noun}",
        "class_prompt": noun,
        "instance_data_dir": f"./benchmark_dataset/{name}",
        "class_data_dir": f"./regularization/{noun}",
        "prompt_filename": "prompts/cat.txt",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three concepts and two pairs as they are published, pictures aside."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "cat.txt").write_text("Photo of a {}.\n{} swimming in a pool.\n")
    (tmp_path / "prompts" / "scene_pet.txt").write_text(SCENE_PET)
    names = {"pet_cat1": "cat", "scene_barn": "barn", "furniture_chair3": "chair"}
    for name in names:
        (tmp_path / "benchmark_dataset" / name).mkdir(parents=True)
    singles = [described(name, noun) for name, noun in names.items()]
    compose = {"prompt_filename_compose": "prompts/scene_pet.txt"}
    second = described("pet_cat1", "cat", token="<new2>")
    pairs = [
        [described("scene_barn", "barn"), second, compose],
        [described("furniture_chair3", "sofa"), second, compose],
    ]
    write(tmp_path, singles, pairs)
    return tmp_path


def write(folder: Path, singles: Any, pairs: Any) -> None:
    (folder / "dataset.json").write_text(json.dumps(singles))
    (folder / "dataset_multiconcept.json").write_text(json.dumps(pairs))


@pytest.fixture
def read(folder: Path) -> ConceptSet:
    return read_concept_set(folder)


def test_singles_have_the_noun_of_their_prompt_and_one_place_in_each_of_theirs(
    read: ConceptSet, folder: Path
) -> None:
    assert [entry.name for entry in read.singles] == ["pet_cat1", "scene_barn", "furniture_chair3"]
    (cat,) = read.singles[0].concepts
    assert (cat.class_noun, cat.token) == ("cat", "<pet_cat1>")
    assert cat.images == folder / "benchmark_dataset" / "pet_cat1"
    assert [prompt.format("<x> cat") for prompt in read.singles[0].prompts] == [
        "Photo of a <x> cat.",
        "<x> cat swimming in a pool.",
    ]


def test_a_prompt_without_an_article_still_gives_the_noun(folder: Path) -> None:
    singles = [described("pet_cat1", "dice plushie", article="")]
    write(folder, singles, [])
    (folder / "dataset_multiconcept.json").unlink()
    read = read_concept_set(folder)
    assert read.singles[0].concepts[0].class_noun == "dice plushie"
    assert read.pairs == ()


def test_pairs_name_both_concepts_even_on_the_line_that_names_one_twice(read: ConceptSet) -> None:
    barn_and_cat = read.pairs[0]
    assert barn_and_cat.name == "scene_barn+pet_cat1"
    filled = [prompt.format("BARN", "CAT") for prompt in barn_and_cat.prompts]
    assert len(filled) == 4
    assert all("BARN" in text and "CAT" in text for text in filled)
    assert filled[2] == "A photo of BARN at dawn with CAT sleeping peacefully."
    assert filled[:2] == ["photo of BARN and the CAT.", "CAT in front of BARN."]
    assert sum("scene_pet.txt, prompt 3" in note for note in read.notes) == 1


def test_a_folder_under_another_noun_is_a_concept_of_its_own(read: ConceptSet) -> None:
    chair, cat = read.pairs[1].concepts
    assert (chair.name, chair.class_noun) == ("furniture_chair3-sofa", "sofa")
    assert chair.images == read.singles[2].concepts[0].images
    assert cat == read.singles[0].concepts[0]
    assert any("furniture_chair3 is a chair" in note for note in read.notes)


def test_real_pictures_and_their_captions_are_found_where_they_are(
    read: ConceptSet, folder: Path
) -> None:
    (cat,), (barn,) = read.singles[0].concepts, read.singles[1].concepts
    assert (cat.real_pictures, cat.real_captions()) == (None, ())
    (folder / "regularization" / "cat" / "images").mkdir(parents=True)
    (folder / "regularization" / "barn").mkdir()
    (folder / "regularization" / "cat" / "caption.txt").write_text("a red cat\na cat at night\n")
    assert cat.real_pictures == folder / "regularization" / "cat" / "images"
    assert cat.real_captions() == ("a red cat", "a cat at night")
    assert barn.real_pictures == folder / "regularization" / "barn"


@pytest.mark.parametrize(
    ("line", "message"),
    [("a cat", "expected one"), ("a {} and a {}", "expected one"), ("a {1}", "expected one")],
)
def test_a_single_prompt_needs_exactly_one_place(folder: Path, line: str, message: str) -> None:
    (folder / "prompts" / "cat.txt").write_text(f"a {{}}\n{line}\n")
    with pytest.raises(ConfigError, match=f"prompt 2: .*{message}"):
        read_concept_set(folder)


def test_a_pair_s_prompt_with_a_foreign_place_is_refused(folder: Path) -> None:
    (folder / "prompts" / "scene_pet.txt").write_text("{0} beside {2}\n")
    with pytest.raises(ConfigError, match="prompt 1"):
        read_concept_set(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instance_prompt": "photo of a cat"}, "photo of a <new1> cat"),
        ({"instance_data_dir": "nowhere"}, "no folder of pictures"),
        ({"prompt_filename": "prompts/none.txt"}, "no file of prompts"),
        ({"prompt_filename": None}, "no text under 'prompt_filename'"),
    ],
)
def test_what_is_not_there_is_named_with_its_entry(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    write(folder, [described("pet_cat1", "cat") | change], [])
    with pytest.raises(ConfigError, match=rf"dataset.json, entry 1: .*{message}"):
        read_concept_set(folder)


def test_a_folder_without_lists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset.json: cannot be read"):
        read_concept_set(tmp_path)


def test_a_path_may_lie_in_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    single = described("pet_cat1", "cat") | {
        "instance_data_dir": "~/benchmark_dataset/pet_cat1",
        "class_data_dir": "$HOME/regularization/cat",
        "prompt_filename": "~/prompts/cat.txt",
    }
    write(folder, [single], [])
    (folder / "dataset_multiconcept.json").unlink()
    (entry,) = read_concept_set(folder).singles
    (concept,) = entry.concepts
    assert concept.images == folder / "benchmark_dataset" / "pet_cat1"
    assert concept.class_folder == folder / "regularization" / "cat"
    assert len(entry.prompts) == 2
