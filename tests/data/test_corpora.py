import json
from pathlib import Path

import pytest

from textreel.data.corpora import (
    CorpusCount,
    CorpusError,
    CorpusFile,
    read_corpus,
)
from textreel.data.corpus_rows import (
    MIN_WORDS,
    NQ_REQUEST,
    from_booksum,
    from_longalpaca,
    from_longqlora,
    from_natural_questions,
    unwrap,
)
from textreel.data.errors import TextualDataError
from textreel.data.long_text import LongText, RowError, content_key
from textreel.data.named_fields import read_field_names
from textreel.data.quarantine import Quarantine
from textreel.data.record import Message, Part, Record
from textreel.data.video_rows import from_llava_video, from_video_chatgpt

PAPER = "A long paper about chess.\n\nIt has two parts. The book begins. Well."
LONG = "word " * MIN_WORDS
WRAPPED = {
    "paper": (
        "Below is a paper. Memorize the paper and answer my question after the paper.\n The paper "
        f"begins. \n {PAPER} \n Now the paper ends. \nWhat is it about?",
        PAPER,
    ),
    "two papers": (
        "There are two papers. Memorize them and answer my question after the paper.\n The first "
        f"paper begins. \n {PAPER} Now the first paper ends. The second paper begins. B. Now the "
        "second paper ends.What is it about?",
        f"{PAPER} Now the first paper ends. The second paper begins. B.",
    ),
    "book": (
        "Below is some paragraphs in the book, A Mr. Title. Memorize the content and answer my "
        f"question after the book.\n {PAPER} \n Now the material ends. What is it about?",
        PAPER,
    ),
    "material": (
        "Below is a paper. Memorize the material and answer my question after the paper.\n"
        f"{PAPER}\n Now the material ends. What is it about?",
        PAPER,
    ),
    "review guideline": (
        "Below is a paper and a review guideline. Memorize them and answer my question after the "
        f"review guideline.\n The paper begins. {PAPER} Now the paper ends. The review guideline "
        "begins. Be kind. Now the review guideline ends. What is it about?",
        f"{PAPER} Now the paper ends. The review guideline begins. Be kind.",
    ),
}


@pytest.mark.parametrize("form", WRAPPED)
def test_every_wrapper_of_longalpaca_is_taken_off(form: str) -> None:
    prompt, context = WRAPPED[form]
    made = from_longalpaca({"instruction": prompt, "output": "Chess."})
    assert (made.context, made.instruction, made.answer) == (context, "What is it about?", "Chess.")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"instruction": "Name three fruits.", "output": "a b c"}, "no document"),
        ({"instruction": WRAPPED["paper"][0].rpartition("What")[0], "output": "x"}, "no question"),
        ({"instruction": WRAPPED["paper"][0]}, "no output"),
        ({"instruction": WRAPPED["paper"][0], "output": " "}, "empty answer"),
        ({"instruction": 3, "output": "x"}, "no instruction"),
    ],
)
def test_rows_of_longalpaca_that_are_no_samples_have_a_code(row: dict, code: str) -> None:
    with pytest.raises(RowError) as caught:
        from_longalpaca(row)
    assert caught.value.code == code


def test_an_input_field_belongs_to_the_prompt() -> None:
    head, _, question = WRAPPED["paper"][0].rpartition("What")
    made = from_longalpaca({"instruction": head, "input": f"What{question}", "output": "Chess."})
    assert made.instruction == "What is it about?"


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(RowError, match="no document in the prompt: it begins 'Hello'"):
        unwrap("Hello")
    with pytest.raises(RowError, match="nothing is asked after the document"):
        unwrap(WRAPPED["book"][0].rpartition("What")[0])
    with pytest.raises(RowError, match=r"no field 'output'; there are: instruction"):
        from_longalpaca({"instruction": WRAPPED["paper"][0]})
    with pytest.raises(RowError, match="'output' is a NoneType, no text"):
        from_longalpaca({"instruction": WRAPPED["paper"][0], "output": None})
    with pytest.raises(RowError, match="'output' is a list, no text"):
        from_longalpaca({"instruction": WRAPPED["paper"][0], "output": []})


NQ_PROMPT = (
    "Write a high-quality answer for the given question using only the provided search results.\n\n"
    f"Document [1] {LONG}\n\nQuestion: who wrote Moby Dick\nAnswer:"
)
NQ_ANSWER = "Answer: Herman Melville\nLong Answer: It was Melville.\nGold Document ID: 4"


def test_the_words_before_question_and_answer_belong_to_the_wrapper() -> None:
    head, _, question = WRAPPED["paper"][0].rpartition("What")
    row = {"instruction": f"{head}Question: What{question}", "output": "Answer: Chess."}
    made = from_longalpaca(row)
    assert (made.instruction, made.answer) == ("What is it about?", "Chess.")
    with pytest.raises(RowError, match="nothing is asked after the document"):
        from_longalpaca({"instruction": f"{head}Question: ", "output": "Chess."})


def test_natural_questions_keep_names_and_lose_the_retrieval_prompt() -> None:
    made = from_natural_questions({"prompt": NQ_PROMPT, "completion": NQ_ANSWER})
    assert made.context == f"Document [1] {LONG}".strip()
    assert made.instruction == f"Who wrote Moby Dick? {NQ_REQUEST}"
    assert made.answer == "Herman Melville\nDocument ID: 4"
    again = {"conversation": [{"human": NQ_PROMPT, "assistant": NQ_ANSWER}], "dataset": "nq"}
    assert from_longqlora(again) == made


def test_faulty_natural_questions_are_refused() -> None:
    with pytest.raises(RowError, match="no 'Question: ' in the prompt"):
        from_natural_questions({"prompt": "x", "completion": NQ_ANSWER})
    with pytest.raises(RowError, match="no short answer with a document ID"):
        from_natural_questions({"prompt": NQ_PROMPT, "completion": "Melville"})
    short = NQ_PROMPT.replace(LONG, "word " * 99)
    with pytest.raises(RowError, match="the context has 101 words, 3000 wanted"):
        from_natural_questions({"prompt": short, "completion": NQ_ANSWER})


def test_booksum_is_cut_at_its_marks() -> None:
    made = from_booksum({"prompt": f"{LONG}\nQ: Summarize it. A:", "completion": " Well."})
    assert (made.context, made.instruction, made.answer) == (LONG.strip(), "Summarize it.", "Well.")
    with pytest.raises(RowError, match="no 'Q:' in the prompt"):
        from_booksum({"prompt": LONG, "completion": "Well."})


def test_longqlora_has_conversations_of_one_turn() -> None:
    turn = {"human": WRAPPED["paper"][0], "assistant": "Chess."}
    assert from_longqlora({"conversation": [turn]}).context == PAPER
    assert from_longqlora({"instruction": WRAPPED["paper"][0], "output": "Chess."}).context == PAPER
    book = {"human": f"{LONG}\n\nQ: Summarize it.\nA:", "assistant": "Well."}
    made = from_longqlora({"conversation": [book]})
    assert made == from_booksum({"prompt": book["human"], "completion": "Well."})
    with pytest.raises(RowError, match="a conversation of 2 turns, one wanted"):
        from_longqlora({"conversation": [turn, turn]})


def test_swapped_columns_and_empty_ones_are_refused() -> None:
    with pytest.raises(RowError, match="there is no context"):
        LongText(context=" \n", instruction="a", answer="b")
    with pytest.raises(RowError, match="columns seem swapped"):
        LongText(context="What?", instruction=PAPER, answer="b")


def test_ids_are_of_the_content() -> None:
    one = LongText(context=PAPER, instruction="a", answer="b")
    record = one.to_record(source="x line 1", licence="CC0-1.0")
    assert record.id == one.id == one.to_record(source="y line 2", licence="").id
    assert Record.from_json(record.to_json()) == record
    spaced = LongText(context=PAPER.replace(" ", "  ").upper(), instruction="A", answer="b ")
    assert content_key(spaced.to_record(source="", licence="")) == content_key(record)
    other = LongText(context=PAPER, instruction="a", answer="c")
    assert content_key(other.to_record(source="", licence="")) != content_key(record)


def test_videos_are_read_in_their_forms() -> None:
    asked = (
        Message(
            role="user",
            parts=(Part(kind="video", value="v1"), Part(kind="text", value="What?")),
        ),
        Message(role="assistant", parts=(Part(kind="text", value="A cat."),)),
    )
    assert from_video_chatgpt({"q": "What?", "a": "A cat.", "video_id": "v1"}) == asked
    turns = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
    assert from_llava_video({"video": "v1", "conversations": turns}) == asked
    for row, message in (
        ({"video": "v1"}, "no conversations"),
        ({"video": "v1", "conversations": turns[:1]}, "turns do not alternate"),
        ({"video": "", "conversations": turns}, "the video has no name"),
        ({"video": "v", "conversations": ["a"]}, "a turn is no object"),
        ({"video": "v", "conversations": [{"from": "x", "value": "y"}]}, "a turn of 'x'"),
        (
            {"video": "v", "conversations": [{"from": "human", "value": "<video>"}, turns[1]]},
            "the user says nothing",
        ),
    ):
        with pytest.raises(RowError, match=message):
            from_llava_video(row)


@pytest.mark.parametrize("as_list", [True, False])
def test_counts_add_up_to_the_rows(tmp_path: Path, as_list: bool) -> None:
    rows = [
        {"text": PAPER, "q": "What?", "a": "Chess.", "license": "CC0-1.0"},
        {"text": "", "q": "What?", "a": "Chess."},
        {"text": "What?", "q": PAPER, "a": "Chess."},
        [1],
    ]
    path = tmp_path / "rows.json"
    lines = [json.dumps(row) for row in rows]
    path.write_text(f"[{','.join(lines)}]" if as_list else "\n\n".join(lines), encoding="utf-8")
    fields = {"context": "text", "instruction": "q", "answer": "a"}
    file = CorpusFile(path=path, corpus="fields", fields=fields, licence="unknown")
    quarantine, count = Quarantine(max_bad=None), CorpusCount()
    records = list(read_corpus(file, quarantine=quarantine, count=count))
    assert [record.licence for record in records] == ["CC0-1.0"]
    assert records[0].source == "fields: rows.json line 1"
    assert (count.rows, count.records, count.rejected) == (4, 1, 3)
    codes = {"empty context": 1, "swapped columns": 1, "no object": 1}
    assert quarantine.summary() == codes


def test_half_a_character_is_a_counted_reject(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"text": PAPER, "q": "What?", "a": "Chess."}
    rows = [row, row | {"text": f"{PAPER} \ud83d"}, row | {"licence": "\udc00"}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    fields = read_field_names("text, q,a")
    quarantine, count = Quarantine(tmp_path / "bad.jsonl", max_bad=None), CorpusCount()
    file = CorpusFile(path=path, corpus="fields", fields=fields)
    assert len(list(read_corpus(file, quarantine=quarantine, count=count))) == 1
    assert count.reasons == {"lone surrogate": 2}
    assert r"half a character ('\ud83d') stands in a text" in next(iter(quarantine)).message


@pytest.mark.parametrize("corpus", ["records", "captions"])
def test_a_file_that_is_no_utf_8_is_named(tmp_path: Path, corpus: str) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xe9"}\r\n')
    with pytest.raises(TextualDataError, match=r"latin.jsonl line 1 is no JSON: 'utf-8' codec"):
        list(read_corpus(CorpusFile(path=path, corpus=corpus), quarantine=Quarantine()))


def test_our_records_and_videos_come_back(tmp_path: Path) -> None:
    path = tmp_path / "videos.json"
    path.write_text(json.dumps([{"q": "What?", "a": "A cat.", "video_id": "v1"}]))
    quarantine = Quarantine(max_bad=None)
    file = CorpusFile(path=path, corpus="video-chatgpt")
    (record,) = read_corpus(file, quarantine=quarantine)
    again = tmp_path / "records.jsonl"
    again.write_text(json.dumps(record.to_json()) + "\n{}\n")
    kept = CorpusFile(path=again, corpus="records")
    assert list(read_corpus(kept, quarantine=quarantine)) == [record]
    assert quarantine.summary() == {"record": 1}


def test_a_corpus_must_be_known_and_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no corpus 'longalpacca'"):
        CorpusFile(path=tmp_path, corpus="longalpacca")
    with pytest.raises(CorpusError, match="names of fields go with the corpus 'fields'"):
        CorpusFile(path=tmp_path, corpus="fields")
    with pytest.raises(CorpusError, match="one of context, video, image are needed"):
        CorpusFile(path=tmp_path, corpus="fields", fields={"context": "a"})
    missing = CorpusFile(path=tmp_path / "none.json", corpus="records")
    with pytest.raises(CorpusError, match=r"there is no file .*none.json"):
        list(read_corpus(missing, quarantine=Quarantine()))
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"a": 1}\n{"a"\n')
    with pytest.raises(TextualDataError, match=r"broken.jsonl line 2 is no JSON"):
        list(read_corpus(CorpusFile(path=broken, corpus="records"), quarantine=Quarantine()))
