"""The guard of translations from Spanish: the same comparison across two languages, by a lexicon.

The Spanish text is glossed word by word into the English of the labeller's lexicon (without accents, as public sets
write it), and the gloss is read in place of the source.
"""

import re
import unicodedata

from radlet.core.records import State
from radlet.llm.numbers import find_numbers
from radlet.llm.statements import count_negations, count_severities, count_sides, find_statements

_NUMBERS = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce"
_ORDINALS = "primer segund tercer cuart quint sext septim octav noven decim"
NUMBER_WORDS = {word: str(value) for value, word in enumerate(_NUMBERS.split(), 1)} | {
    stem + ending: f"{value}th"
    for value, stem in enumerate(_ORDINALS.split(), 1)
    for ending in ("", "o", "a", "os", "as")
}

_GLOSS: tuple[tuple[str, str], ...] = (
    (r"derrames? pleural(?:es)?(?: bilateral(?:es)?)?", "pleural effusion"),
    (r"derrame pericardico", "pericardial effusion"),
    (r"derrames?", "pleural effusion"),
    (r"(?:hidro|hemo)?neumotorax", "pneumothorax"),
    (r"cardiomegalia", "cardiomegaly"),
    (r"silueta cardiaca (?:aumentada|agrandada)(?: de tamano)?|aumento de (?:la )?silueta cardiaca", "cardiomegaly"),
    (r"neumonias?|bronconeumonias?|neumonic[oa]s?|infeccios[oa]s?|infeccion(?:es)?", "pneumonia"),
    (r"atelectasias?|laminares", "atelectasis"),
    (r"consolidacion(?:es)?|condensacion(?:es)?", "consolidation"),
    (r"(?:edema|insuficiencia cardiaca|congestion vascular|icc)", "pulmonary edema"),
    (r"engrosamientos? (?:\w+ )?pleural(?:es)?|paquipleuritis|pinzamiento", "pleural thickening"),
    (r"patron(?:es)? intersticial(?:es)?|intersticial(?:es)?", "interstitial pattern"),
    (r"infiltrados?|opacidad(?:es)?|aumento de densidad(?:es)?", "opacity"),
    (r"nodulos?|nodular(?:es)?|masas?|neoplasias?|metastasis|tumor(?:es)?|lesion(?:es)? pulmonar(?:es)?", "nodule"),
    (r"fracturas?|aplastamientos?", "fracture"),
    (r"marcapasos|dai|desfibrilador|cateter(?:es)?|sonda|tubo|reservorio|protesis|drenajes?|electrodos?", "catheter"),
    (r"via central|material (?:quirurgico|metalico|de osteosintesis)", "catheter"),
    (r"ensanchamiento mediastinico|mediastino ensanchado", "widened mediastinum"),
    (r"enfisema(?:tos[oa])?|bullas?", "emphysema"),
    (r"hiperinsuflacion|hiperinsuflad[oa]s?|atrapamiento aereo", "hyperinflation"),
    (r"epoc", "copd"),
    (r"fibrosis|fibrotic[oa]s?", "fibrosis"),
    (r"cicatri\w+", "scar"),
    (r"hernias?", "hernia"),
    (r"granulomas?|granulomatos[oa]s?", "granuloma"),
    (r"calcificacion(?:es)?|calcificad[oa]s?", "calcification"),
    (r"adenopatias?", "adenopathy"),
    (r"escoliosis|cifosis|cifoescoliosis", "scoliosis"),
    (r"degenerativ[oa]s?|espondil\w+|osteofit\w+|artros\w+|artropat\w+", "degenerative"),
    (r"elongacion|elongad[oa]|tortuos[oa]s?|desenrollad[oa]", "tortuous"),
    (r"aneurisma\w*", "aneurysm"),
    (r"ateromatos[oa]s?|ateromas?|aterosclero\w+", "atheroma"),
    (r"bronquiectasias?", "bronchiectasis"),
    (r"neumoperitoneo", "pneumoperitoneum"),
    (r"elevacion|elevad[oa]", "elevated"),
    (r"osteopenia|osteoporosis", "osteopenia"),
    (r"tuberculos\w+|tbc", "tuberculosis"),
    (r"perdida de volumen", "volume loss"),
    (r"desviacion|desplazamiento|desviad[oa]", "shift"),
    (r"borramiento", "blunting"),
    (r"(?:tamano|silueta) (?:cardiac[oa]|del corazon)|corazon|silueta", "heart size"),
    (r"normal(?:es)?|dentro de la normalidad|conservad[oa]s?", "normal"),
    (r"no se (?:observa|aprecia|evidencia|visualiza|identifica|ve|detecta)n?", "no"),
    (r"(?:sin evidencia|ausencia) de|sin|no", "no"),
    (r"ni|o|u", "or"),
    (r"y|e", "and"),
    (r"con", "with"),
    (r"pero|aunque|excepto|salvo", "but"),
    (r"posibles?|probables?|sospecha|sugestiv[oa]s?|compatibles? con|podria\w*|a descartar|dudos[oa]s?", "possible"),
    (r"izquierd[oa]s?|izdo|izq|lii|lsi", "left"),
    (r"derech[oa]s?|dcho|dch|lid|lsd", "right"),
    (r"bilateral(?:es)?|amb[oa]s|bibasal(?:es)?|biapical(?:es)?", "bilateral"),
    (r"leves?|minim[oa]s?|discret[oa]s?|pequen[oa]s?|liger[oa]s?|tenues?|escas[oa]s?", "mild"),
    (r"moderad[oa]s?", "moderate"),
    (r"sever[oa]s?|graves?|marcad[oa]s?|importantes?|masiv[oa]s?|extens[oa]s?|grandes?|gran", "severe"),
)  # fmt: skip
_WORDS = re.compile(
    r"(?<![a-z])(?:" + "|".join(f"(?P<g{n}>{words})" for n, (words, _) in enumerate(_GLOSS)) + r")(?![a-z])"
)
_SPANISH = re.compile(
    r"\b(?:el|la|los|las|de|del|en|y|con|sin|se|una|por|que|derrame|pulmonar|izquierd[oa]|derech[oa]|sig|torax)\b"
)


def gloss(text: str) -> str:
    """Return a Spanish text with the words of the lexicon in English and the rest as it is, without accents."""
    return _WORDS.sub(lambda match: _GLOSS[int(str(match.lastgroup)[1:])][1], _plain(text))


def check_translation(source: str, output: str) -> tuple[str, ...]:
    """Return the reasons why an English text is not the translation of a Spanish one; none when it may well be."""
    reasons: set[str] = set()
    glossed = gloss(source)
    before, after = _states(glossed), _states(output)
    if after.keys() - before.keys():
        reasons.add("observation_added")
    if before.keys() - after.keys():
        reasons.add("observation_lost")
    if any(before[name] != after[name] for name in before.keys() & after.keys()):
        reasons.add("negation_changed")
    if find_numbers(_plain(source), NUMBER_WORDS, decimal_comma=True) != find_numbers(output):
        reasons.add("number_changed")
    if count_sides(glossed) != count_sides(output):
        reasons.add("side_changed")
    if count_severities(glossed) != count_severities(output):
        reasons.add("severity_changed")
    if count_negations(glossed) != count_negations(output):
        reasons.add("negation_changed")
    if len(_SPANISH.findall(_plain(output))) > 1:
        reasons.add("not_translated")
    return tuple(sorted(reasons))


def _plain(text: str) -> str:
    """Return a text in small letters without accents, as the reports of public sets are."""
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")


def _states(text: str) -> dict[str, set[State]]:
    found: dict[str, set[State]] = {}
    for statement in find_statements(text):
        found.setdefault(statement.finding, set()).add(statement.state)
    return found
