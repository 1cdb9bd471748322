"""Words in the names and values of columns that hint at what a column is. Computes only.

English and Portuguese, since tables come with names in both.
"""

from __future__ import annotations

import re
import unicodedata


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TARGETS = _words(
    "target label class y outcome response result event default churn churned attrition survived "
    "survival dead death died fraud spam phishing purchase purchased buy bought conversion "
    "converted click clicked subscribed approved accepted rejected admitted hired status "
    "diagnosis disease malignant positive success failure failed fail won win winner passed "
    "cancelled canceled returned readmitted recidivism recid released arrested late delayed "
    "delinquent bankrupt bankruptcy employed smoker insured callback voted donated responded "
    "left exited stayed renewed direction made yesno "
    "alvo rotulo classe desfecho resposta evento resultado inadimplente inadimplencia evasao "
    "evadiu fraude comprou compra converteu clicou aprovado reprovado sobreviveu obito morte "
    "cancelou cancelado atrasado sucesso falha doenca diagnostico contratado"
)
# names that say nothing of what is predicted
VAGUE_TARGETS = _words("target label class y outcome response result alvo rotulo classe resposta")
# two-valued facts about a person or thing, which are rarely what is predicted
DESCRIPTIONS = _words(
    "sex gender female male race ethnicity married student citizen hispanic partner dependents "
    "senior origin region country state city type kind method format term phone has is own "
    "sexo genero raca casado estudante cidadao tipo metodo"
)
FORECASTS = _words(
    "prediction predicted pred predictions yhat proba probability previsao probabilidade"
)
IDS = _words(
    "id ids key uuid guid identifier rowname rownames rownum rowid index idx serial idnum "
    "chave codigo identificador matricula protocolo cpf cnpj"
)
# of a table that was exported with the numbers of its rows
ROW_NUMBERS = _words("rowname rownames rownum rowid index idx row unnamed")
# `caseid` names a key, but not `paid` or `humid`
OWNERS = _words(
    "case user customer client patient order account session game match person student product "
    "item store job member household device group subject visit team event trip loan policy "
    "claim invoice cliente usuario paciente pedido conta aluno produto loja apolice contrato"
)
TIMES = _words(
    "time date datetime timestamp day when at created created_at started start opened event "
    "data hora dia momento quando criado criado_em inicio"
)
WEIGHTS = _words(
    "sampling_weight sample_weight survey_weight sampweight samplewt fnlwgt fnlwt finalwt pweight "
    "perwt pwgtp wgtp wgt case_weight inverse_probability peso_amostral peso_amostra "
    "fator_expansao"
)
# of a person's body as well
VAGUE_WEIGHTS = _words("weight weights wt peso pesos")
# parts of time that a whole number may name
PERIODS = _words("year yr month quarter wave season term week ano mes trimestre safra semana")
PARTS = _words(
    "train training test testing valid validation holdout dev development prod production "
    "reference current treino teste validacao producao referencia atual"
)
# names of both coordinates of a place, across and along
PLACES = (
    (_words("lon lng long longitude"), _words("lat latitude")),
    (
        _words("x loc_x x_coord coord_x xcoord pos_x"),
        _words("y loc_y y_coord coord_y ycoord pos_y"),
    ),
    (_words("easting"), _words("northing")),
)
# what is recorded once the outcome is known
AFTERWARDS = _words(
    "after final closed closing resolution resolved recovered recoveries recovery settled "
    "settlement discharge chargeoff chargedoff actual elapsed duration followup futime cause "
    "reason outcome exit refund refunded "
    "apos encerramento encerrado resolucao recuperado duracao motivo causa saida reembolso"
)
PLANNED = _words(
    "sched scheduled schedule planned plan due expected target budget estimated estimate "
    "promised previsto prevista planejado planejada agendado agendada estimado estimada"
)
POSITIVES = _words(
    "bad dead died deceased default defaulted fraud fraudulent spam churn churned positive "
    "success failed failure malignant sick ill disease cancelled canceled late delayed converted "
    "bought purchased clicked approved accepted won win up hired returned readmitted left exited "
    "survived event case attack anomaly "
    "ruim mau morto obito inadimplente fraude positivo sucesso maligno doente cancelado atrasado "
    "comprou aprovado aceito ganhou evadido"
)
NEGATIVES = _words(
    "good alive living ok normal benign healthy negative none ham legit legitimate control "
    "stayed ontime active current paid rejected lost loss down "
    "bom vivo normal benigno saudavel negativo nenhum legitimo controle adimplente ativo "
    "reprovado perdeu"
)
NEGATIONS = ("not ", "non", "no ", "un", "in", "dis", "nao ", "sem ", "without ")

# what stands for a missing value among numbers or dates, beside those that every reader knows
MARKS = _words(
    "na n/a n.a. nd n/d n.d. ni n/i s/d s/i s.d. s.i. - -- --- – — . .. ... ? ?? nil none null nan "
    "missing blank empty vazio ignorado ignorada indisponivel"
) | frozenset(
    (
        "not available",
        "not applicable",
        "not informed",
        "not reported",
        "no data",
        "no information",
        "nao informado",
        "nao informada",
        "nao disponivel",
        "nao consta",
        "nao se aplica",
        "sem informacao",
        "sem dado",
        "sem dados",
        "em branco",
    )
)

# pairs of truth values: of single letters only those that belong together
TRUTHS = (
    (_words("true t yes y on 1 1.0"), _words("false f no n off 0 0.0")),
    (_words("verdadeiro v sim s 1 1.0"), _words("falso f nao n 0 0.0")),
    (_words("si oui ja 1"), _words("no non nein 0")),
)


def plain(text: object) -> str:
    """Return a text in lower case without accents and outer spaces.

    Examples
    --------
    >>> plain(" Não "), plain("ÓBITO")
    ('nao', 'obito')
    """
    parts = unicodedata.normalize("NFKD", str(text)).casefold().strip()
    return "".join(part for part in parts if not unicodedata.combining(part))


def tokens(name: str) -> tuple[str, ...]:
    """Return the words of a column's name.

    Examples
    --------
    >>> tokens("personSearch"), tokens("Data de Óbito"), tokens("idNum2")
    (('person', 'search'), ('data', 'de', 'obito'), ('id', 'num', '2'))
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])", " ", name)
    return tuple(re.findall(r"[^\W_]+", plain(apart)))


def has(name: str, words: frozenset[str]) -> bool:
    """Return whether a name, or a word in it, is among these."""
    return "_".join(tokens(name)) in words or not words.isdisjoint(tokens(name))


def names_a_key(name: str) -> bool:
    """Return whether a column's name says that it identifies something.

    Examples
    --------
    >>> [names_a_key(name) for name in ("caseid", "job_ad_id", "idNum", "paid", "humid", "CPF")]
    [True, True, True, False, False, True]
    """
    bare = plain(name)
    return has(name, IDS) or (bare.endswith("id") and bare[:-2].rstrip("_") in OWNERS)


def truth(values: list[str]) -> dict[str, bool] | None:
    """Return what each value means if all are truth values and both occur; otherwise None.

    Examples
    --------
    >>> truth(["Yes", "no", "NO"]), truth(["Sim", "Não"]), truth(["f", "m"])
    ({'Yes': True, 'no': False, 'NO': False}, {'Sim': True, 'Não': False}, None)
    """
    if not 2 <= len(values) <= 12:
        return None
    bare = {value: plain(value) for value in values}
    for true, false in TRUTHS:
        known = set(bare.values())
        if known <= true | false and known & true and known & false:
            return {value: word in true for value, word in bare.items()}
    if {"1", "2"} == {word.removesuffix(".0") for word in bare.values()}:
        return {value: word.startswith("2") for value, word in bare.items()}
    return None
