"""Seeded hostile requests to an endpoint, and an account of their rows."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import random
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import sqlalchemy as sql

from core.platform import set_aside
from core.platform.config import Settings
from core.predictions_log import log_store, predictions
from core.serving import endpoint_status

JSON, CSV = "application/json", "text/csv"
PARQUET = "application/vnd.apache.parquet"
TYPES = (
    JSON,
    CSV,
    PARQUET,
    "text/plain",
    "",
    "application/json; charset=utf-8",
    "application/json; charset=latin-1",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/json;",
    "APPLICATION/JSON",
    "text/csv; header=absent",
    "a/b" * 50,
)
SURROGATE = "\ud800"
# written as JSON by hand: what a JSON library would not write
RAW = (
    "1e308",
    "-1e308",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "-0",
    "1e-320",
    "0.1e1",
    "9" * 19,
    "-" + "9" * 19,
    "9" * 400,
    "9" * 5000,
    "-" + "9" * 5000,
    "1" + "0" * 4299,
    "true",
    "false",
    "null",
    '""',
    '" "',
    '"1_000"',
    '"１２"',
    '"NaN"',
    '"NA"',
    '"inf"',
    '"0x1p3"',
    '"1,5"',
    '"\\ud800"',
    '"\\u0000"',
    '"é"',
    "[]",
    "[1]",
    "{}",
    '{"a": 1}',
    '"' + "x" * 3000 + '"',
    "18446744073709551616",
    "1.7976931348623159e308",
    "5e-324",
    "[[[[1]]]]",
    "01",
    "+1",
    "1.",
    "'1'",
)


@dataclass(frozen=True)
class Request:
    """One request, before it is encoded as HTTP.

    Parameters
    ----------
    framing : str
        length, chunked, or a way to break it: long (more is promised than sent), short, bad-chunk,
        cut-chunk.
    """

    kind: str
    path: str
    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    method: str = "POST"
    framing: str = "length"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Account:
    """The outcome of a run's requests and rows."""

    statuses: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    # each with its number, its kind and the bytes sent
    faults: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    answered_by: dict[str, str] = field(default_factory=dict)
    in_log: int = 0
    set_aside: int = 0
    gaps: int = 0
    lost: int = 0
    # requests with another number of rows in the log than answered
    unequal: list[str] = field(default_factory=list)


class RequestGenerator:
    """Generates requests for a model with these columns.

    Parameters
    ----------
    inputs : mapping of str to (float, float)
        The model's number columns, each with its range.
    key : str
        The natural key's column.
    secret : str
        An API key that is accepted.
    """

    def __init__(
        self, seed: int, inputs: Mapping[str, tuple[float, float]], key: str, secret: str
    ) -> None:
        self.secret = secret.encode()
        self.random = random.Random(seed)
        self.inputs, self.key = inputs, key
        self.names = list(inputs)
        self.answered_ids: list[str] = []

    def requests(self, count: int) -> Iterator[Request]:
        """Yield requests; the caller may add the ids of answered ones to `answered_ids`."""
        kinds: list[Callable[[], Request]] = [
            self.plain,
            self.index_game,
            self.column_game,
            self.doubled_key,
            self.odd_value,
            self.deep,
            self.damaged,
            self.wrong_type,
            self.chunked,
            self.headers,
            self.shapes,
            self.parquet_game,
            self.csv_game,
            self.method,
            self.labels,
            self.labels,
            self.labels,
        ]
        for number in range(count):
            yield kinds[number % len(kinds)]()

    def rows(self, count: int | None = None) -> list[list[Any]]:
        wanted = self.random.choice((1, 1, 2, 3, 17)) if count is None else count
        return [[self.value(*self.inputs[name]) for name in self.names] for _ in range(wanted)]

    def value(self, low: float, high: float) -> float:
        """Return a value of a column in this range; an integer where both ends are integers."""
        if low.is_integer() and high.is_integer():
            return self.random.randint(int(low), int(high))
        # inside the range, which rounding could leave
        return round(low + (high - low) * self.random.uniform(0.01, 0.99), 3)

    def frame(self, count: int | None = None) -> pd.DataFrame:
        return pd.DataFrame(self.rows(count), columns=self.names)

    def request(self, kind: str, body: Any, content: str = JSON, **more: Any) -> Request:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [(b"Content-Type", content.encode())] if content else []
        extra = more.pop("headers", ())
        if not {b"X-Api-Key", b"Authorization", b"X-Courtside-Token"} & {name for name, _ in extra}:
            headers.append((b"X-Api-Key", self.secret))
        return Request(kind, more.pop("path", "/invocations"), data, (*headers, *extra), **more)

    def split(self, rows: list[list[Any]] | None = None) -> dict[str, Any]:
        return {"columns": list(self.names), "data": self.rows() if rows is None else rows}

    def written(self) -> tuple[bytes, str]:
        """Return valid rows in one of the formats, and the content type."""
        frame = self.frame()
        way = self.random.randrange(7)
        if way == 5:
            return frame.to_csv(index=False).encode(), CSV
        if way == 6:
            return parquet(frame), PARQUET
        records = frame.to_dict("records")
        body: dict[str, Any] = (
            {"dataframe_split": self.split(frame.to_numpy().tolist())},
            {"dataframe_records": records},
            {"instances": records},
            {"inputs": frame.to_dict("list")},
            {"inputs": records},
        )[way]
        return json.dumps(body).encode(), JSON

    def plain(self) -> Request:
        body, content = self.written()
        return self.request("as documented", body, content)

    def index_game(self) -> Request:
        rows = self.rows()
        index = self.random.choice(
            (
                [[1, 2]],
                [[1], [2]],
                [0],
                [7] * len(rows),
                ["a"] * len(rows),
                list(range(9)),
                {},
                None,
                [[1, 2]] * len(rows),
                [None] * len(rows),
                "ab",
                3,
                [],
                [True] * len(rows),
                [{"a": 1}] * len(rows),
                [[[1]]],
                [SURROGATE] * len(rows),
                [1e308] * len(rows),
            )
        )
        split = self.split(rows) | {"index": index}
        if self.random.random() < 0.3:
            split |= {self.random.choice(("index_names", "column_names")): ["a"]}
        return self.request("index", {"dataframe_split": split})

    def column_game(self) -> Request:
        split = self.split()
        names: Any = split["columns"]
        game = self.random.randrange(10)
        if game == 0:
            names[0] = names[1]
        elif game == 1:
            del names[0]
        elif game == 2:
            split["columns"] = [
                *names,
                self.random.choice((SURROGATE, "\0", "x" * 5000, "", "label")),
            ]
            split["data"] = [[*row, 1] for row in split["data"]]
        elif game == 3:
            names[0] = self.random.choice((1, None, ["a"], True, 1.5, {}))
        elif game == 4:
            split["columns"] = self.random.choice(([], None, "ab", {}, [names], 7))
        elif game == 5:
            split["columns"] = [*names, self.key]
            keys = (
                1,
                1.0,
                "a",
                None,
                SURROGATE,
                "\0",
                "k" * 999,
                True,
                [1],
                {"a": 1},
                1e308,
                10**25,
            )
            split["data"] = [[*row, self.random.choice(keys)] for row in split["data"]]
        elif game == 6:
            self.random.shuffle(names)
        elif game == 7:
            split["data"] = [row[: self.random.randrange(len(row) + 1)] for row in split["data"]]
        elif game == 8:
            names[0] = self.random.choice((names[0].upper(), f" {names[0]} ", names[0] + "\n"))
        else:
            split["columns"] = [*names, *(f"c{i}" for i in range(500))]
            split["data"] = [[*row, *([0] * 500)] for row in split["data"]]
        return self.request("columns", {"dataframe_split": split})

    def doubled_key(self) -> Request:
        first_split, second_split = (json.dumps(self.split()) for _ in range(2))
        first = json.dumps(dict(zip(self.names, self.rows(1)[0], strict=True)))
        doubled = f'{{"{self.names[0]}": 1, {first[1:]}'
        return self.request(
            "doubled keys",
            self.random.choice(
                (
                    f'{{"dataframe_split": {first_split}, "dataframe_split": {second_split}}}',
                    f'{{"dataframe_split": {first_split}, "inputs": {first}}}',
                    f'{{"dataframe_records": [{doubled}, {first}]}}',
                    f'{{"dataframe_split": {{"data": [], {first_split[1:]}}}',
                    f'{{"inputs": {doubled}}}',
                    f'{{"dataframe_split": {first_split}, "params": {{"a": 1}}}}',
                    f'{{"instances": [{doubled}]}}',
                )
            ).encode(),
        )

    def odd_value(self) -> Request:
        rows = self.rows()
        row, column = self.random.randrange(len(rows)), self.random.randrange(len(self.names))
        rows[row][column] = "@"
        body, content = json.dumps({"dataframe_split": self.split(rows)}), JSON
        raw = self.random.choice(RAW)
        if self.random.random() < 0.4:
            records = [dict(zip(self.names, row, strict=True)) for row in rows]
            name = self.random.choice(("dataframe_records", "instances", "inputs"))
            body = json.dumps({name: records})
        elif self.random.random() < 0.3:
            columns = dict(zip(self.names, map(list, zip(*rows, strict=True)), strict=True))
            body = json.dumps({"inputs": columns})
        return self.request("values", body.replace('"@"', raw).encode("utf-8", "replace"), content)

    def deep(self) -> Request:
        depth = self.random.choice((50, 900, 1100, 5000, 100_000))
        mark = self.random.choice((("[", "]"), ('{"a":', "}")))
        nest = mark[0] * depth + "1" + mark[1] * depth
        split = json.dumps(self.split(self.rows(1)))
        return self.request(
            "deep",
            self.random.choice(
                (
                    nest,
                    f'{{"inputs": {nest}}}',
                    f'{{"dataframe_split": {nest}}}',
                    mark[0] * depth,
                    f'{{"instances": [{nest}]}}',
                    f'{{"dataframe_split": {split}, "params": {nest}}}',
                    f'{{"dataframe_split": {{"index": {nest}, {split[1:]}}}',
                )
            ).encode(),
        )

    def damaged(self) -> Request:
        body, content = self.written()
        data = bytearray(body)
        game = self.random.randrange(4)
        if game == 0:
            data = data[: self.random.randrange(len(data))]
        elif game == 1:
            for _ in range(self.random.randrange(1, 8)):
                data[self.random.randrange(len(data))] = self.random.randrange(256)
        elif game == 2:
            offset = self.random.randrange(len(data))
            data[offset:offset] = self.random.choice(
                (b"\xff\xfe", b"\0", b"\xef\xbb\xbf", b"{}", b"\r\n")
            )
        else:
            data += self.random.choice((b"x", b"{}", b"\0" * 50, bytes(data)))
        return self.request("damaged", bytes(data), content)

    def wrong_type(self) -> Request:
        body, _ = self.written()
        game = self.random.randrange(4)
        if game == 0:
            return self.request(
                "type", gzip.compress(body), JSON, headers=[(b"Content-Encoding", b"gzip")]
            )
        if game == 1:
            return self.request("type", body, "", headers=[(b"Content-Type", b"\xff\xfe")])
        return self.request("type", body, self.random.choice(TYPES))

    def chunked(self) -> Request:
        body, content = self.written()
        framing = self.random.choice(
            ("chunked", "chunked", "bad-chunk", "cut-chunk", "long", "short")
        )
        return self.request(f"framing: {framing}", body, content, framing=framing)

    def headers(self) -> Request:
        body, content = self.written()
        name = self.random.choice(
            (
                b"X-Api-Key",
                b"Authorization",
                b"X-Courtside-Token",
                b"X-Courtside-Source",
                b"X-Courtside-Run",
                b"X-Courtside-Shadow",
                b"X-Request-Id",
                b"Accept",
                b"Expect",
                b"Accept-Encoding",
                b"Connection",
                b"X-" + b"a" * 300,
                b"Cookie",
                b"Content-Encoding",
            )
        )
        value = self.random.choice(
            (
                b"\xff",
                b"\xed\xa0\x80",
                b"caf\xc3\xa9",
                b"",
                b"a" * 7000,
                b"Bearer \xff\xff",
                b"Bearer ",
                b"%00",
                b"1",
                b"../../etc",
                b"'; DROP TABLE predictions; --",
                b"0" * 32,
                b"0" * 31 + b"g",
                self.random.randbytes(16).hex().upper().encode(),
                b"\x80" * 64,
            )
        )
        return self.request("headers", body, content, headers=[(name, value)])

    def shapes(self) -> Request:
        row = dict(zip(self.names, self.rows(1)[0], strict=True))
        return self.request(
            "shapes",
            self.random.choice(
                (
                    {"inputs": row},
                    {"inputs": dict.fromkeys(row, True)},
                    {"inputs": [list(row.values())]},
                    {"inputs": {name: [] for name in row}},
                    {"inputs": {name: [[1]] for name in row}},
                    {"instances": row},
                    {"instances": []},
                    {"dataframe_records": []},
                    {"inputs": []},
                    {},
                    {"dataframe_split": {**self.split(), "data": []}},
                    [],
                    3,
                    "text",
                    None,
                    {"dataframe_split": {"columns": list(row), "data": [row]}},
                    {"inputs": list(row)},
                    {"dataframe_split": {"columns": list(row), "data": list(row.values())}},
                    {"dataframe_records": [row, {}]},
                    {"dataframe_records": [row, None]},
                    {"inputs": {**row, self.names[0]: [1, 2]}},
                    {"instances": [[row]]},
                    {"inputs": None},
                    {"dataframe_split": {"columns": list(row), "data": {"0": list(row.values())}}},
                    {"inputs": {name: {"0": 1} for name in row}},
                    {"inputs": "x"},
                    {"inputs": 1},
                    {"dataframe_split": self.split(), "params": 3},
                    {"inputs": dict.fromkeys(row, "1")},
                    {"inputs": [row], "params": {"x": SURROGATE}},
                    {"inputs": {SURROGATE: [1]}},
                )
            ),
        )

    def parquet_game(self) -> Request:
        frame = self.frame()
        game = self.random.randrange(8)
        if game == 0:
            frame = frame.astype("int64")
        elif game == 1:
            frame = frame.astype("float32")
        elif game == 2:
            frame[self.key] = self.random.choice((1, "a", None, b"\xff", 1.5, pd.Timestamp(0)))
        elif game == 3:
            frame = frame.set_index(self.random.choice(self.names))
        elif game == 4:
            frame[self.names[0]] = [[1.0]] * len(frame)
        elif game == 5:
            frame = frame.head(0)
        elif game == 6:
            frame.index = pd.MultiIndex.from_tuples([(i, i) for i in range(len(frame))])
        data = parquet(frame)
        if game == 7:
            data = data[: self.random.randrange(len(data))]
        return self.request("parquet", data, PARQUET)

    def csv_game(self) -> Request:
        text = self.frame().to_csv(index=False)
        head, _, rest = text.partition("\n")
        return self.request(
            "csv",
            self.random.choice(
                (
                    text.replace(",", ";"),
                    text.replace("\n", "\r"),
                    text.replace("\n", "\r\n"),
                    head,
                    head + "\n" + rest.replace(",", ",,", 1),
                    text.replace(",", ",9", 1),
                    "\ufeff" + text,
                    f"{head}\n\n{rest}\n\n",
                    f"{head},{self.names[0]}\n{rest}",
                    text + "9,9,9,9,9,9,9\n",
                    text + '"',
                    text.replace("\n", "\n,", 1),
                    text.replace(".", "_"),
                    head + "\n" * 50,
                    head + "\n" + ",".join(["1_000"] * len(self.names)),
                    text + "\0",
                    " " + text,
                    head + "\n" + ",".join(["9" * 5000] * len(self.names)),
                    "a" * 200_000,
                    "\n",
                    "",
                    head + "\n" + ",".join(["１２"] * len(self.names)),
                    text.replace("0", "NA"),
                )
            ).encode("utf-8", "replace"),
            CSV,
        )

    def method(self) -> Request:
        body, content = self.written()
        path = self.random.choice(
            (
                "/invocations",
                "/invocations/",
                "//invocations",
                "/invocations?a=%ff",
                "/labels",
                "/labels/..",
                "/ping",
                "/version",
                "/.gateway",
                "/metrics",
                "/%00",
                "/" + "a" * 5000,
                "/docs",
                "/%ed%a0%80",
            )
        )
        method = self.random.choice(("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "POST"))
        return self.request("paths", body, content, path=path, method=method)

    def labels(self) -> Request:
        request_id = self.random.choice(self.answered_ids) if self.answered_ids else "0" * 32
        ids = (
            f"{request_id}-0",
            f"{request_id}-0",
            f"{request_id}-1",
            SURROGATE,
            f"{request_id}-٣",
            f"{request_id}-999999999",
            f"{request_id}-9999999999",
            request_id,
            "",
            "x" * 9000,
            None,
            1,
            1.5,
            True,
            [],
            {},
            f"{request_id}.5-0",
            f"{request_id}-00",
            "\0",
            "0" * 32,
        )
        keys = (
            1,
            17,
            1.0,
            "a",
            None,
            SURROGATE,
            "\0",
            "k" * 999,
            True,
            [1],
            {"a": 1},
            1e308,
            10**25,
            -1,
            "",
            " ",
            "1.0",
            "01",
            0.1,
        )
        label_values = (0, 1, 1, 0, True, False, 2, -1, 0.0, 1.0, 0.5, "1", "", None, [], {}, 1e308)
        times = (
            "2026-01-31T12:00:00Z",
            "2026-01-31",
            "soon",
            SURROGATE,
            0,
            1e308,
            None,
            True,
            [],
            {},
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2026-01-31T12:00:00",
            "１９９９-01-01",
        )
        labels = []
        for _ in range(self.random.choice((1, 1, 2, 5, 40))):
            label: dict[str, Any] = {"label": self.random.choice(label_values)}
            if self.random.random() < 0.7:
                label["prediction_id"] = self.random.choice(ids)
            if self.random.random() < 0.4:
                label[self.key] = self.random.choice(keys)
            if self.random.random() < 0.4:
                label["labelled_at"] = self.random.choice(times)
            if self.random.random() < 0.05:
                label[self.random.choice((SURROGATE, "x" * 5000, "source", ""))] = 1
            labels.append(label)
        body = json.dumps({"labels": labels})
        game = self.random.random()
        if game < 0.25:
            raw = self.random.choice(RAW)
            name = self.random.choice(("label", "prediction_id", self.key, "labelled_at"))
            body = f'{{"labels": [{{"label": 1, "label": 0, "{name}": {raw}}}, {body[12:]}'
        elif game < 0.35:
            depth = self.random.choice((100, 980, 1500, 100_000))
            nest = "[" * depth + "]" * depth
            body = f'{{"labels": [{{"label": 1, "{self.key}": {nest}}}]}}'
        elif game < 0.5:
            body = self.random.choice(
                (
                    "",
                    "{",
                    "[]",
                    "3",
                    '{"labels": 3}',
                    '{"labels": []}',
                    '{"labels": [3, null, []]}',
                    '{"labels": {"label": 1}}',
                    body[:-7],
                    body + "x",
                    '{"labels": [{}]}',
                    "\0",
                )
            )
        content = JSON if self.random.random() < 0.9 else self.random.choice(TYPES)
        data = body.encode("utf-8", "replace")
        if self.random.random() < 0.05:
            data = data[:20] + b"\xff" + data[20:]
        return self.request("labels", data, content, path="/labels")


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def send(port: int, request: Request, seconds: float = 90.0) -> Answer | None:
    """Send a request over its own connection; return None if it was closed without an answer."""
    head = [f"{request.method} {request.path} HTTP/1.1".encode(), b"Host: 127.0.0.1:%d" % port]
    head += [name + b": " + value for name, value in request.headers]
    body = request.body
    if "chunk" in request.framing:
        head.append(b"Transfer-Encoding: chunked")
        half = len(body) // 2
        parts = [part for part in (body[:half], body[half:]) if part]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        if request.framing == "bad-chunk":
            body = b"zz\r\n" + body
        elif request.framing == "cut-chunk":
            body = body[:-9]
    else:
        more = {"long": 10, "short": -min(10, len(body))}.get(request.framing, 0)
        head.append(b"Content-Length: %d" % (len(body) + more))
    head.append(b"Connection: close")
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)
            if request.framing in ("long", "cut-chunk"):
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            # refused before all of it was read; the answer can still be read
            pass
        answer = http.client.HTTPResponse(connection, method=request.method)
        try:
            answer.begin()
            return Answer(answer.status, dict(answer.headers), answer.read())
        except (http.client.HTTPException, ConnectionError):
            return None


def run(
    settings: Settings,
    port: int,
    generator: RequestGenerator,
    count: int,
    on_answer: Callable[[int], None] = lambda _: None,
) -> Account:
    """Send that many requests to an endpoint and return the account."""
    account = Account()
    for number, request in enumerate(generator.requests(count)):
        answer = send(port, request)
        status = "closed" if answer is None else str(answer.status)
        account.statuses[request.kind][status] += 1
        on_answer(number)
        if answer is None:
            continue
        description = f"request {number}, {request.kind}: {status}; {_shown(request)}"
        if answer.status >= 500:
            account.faults.append(f"{description}; answered {answer.body[:300]!r}")
        is_asked = request.method == "POST" and request.path.partition("?")[0] == "/invocations"
        if not is_asked or answer.status != 200:
            continue
        rows = len(json.loads(answer.body)["predictions"])
        name = answer.headers["X-Request-Id"]
        account.answered[name], account.answered_by[name] = rows, description
        if rows and not {"X-Prediction-Ids", "X-Prediction-Log"} & answer.headers.keys():
            account.silent.append(description)
        generator.answered_ids.append(name)
    _settle(settings, port)
    _count(settings, account)
    return account


def _shown(request: Request) -> str:
    headers = ", ".join(f"{name!r}: {value[:80]!r}" for name, value in request.headers)
    cut = "..." if len(request.body) > 400 else ""
    return f"{request.method} {request.path[:80]} ({headers}) {request.body[:400]!r}{cut}"


def _settle(settings: Settings, port: int, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while True:
        state = endpoint_status.status(port)
        assert state is not None, "the endpoint has ended"
        if state.log.ok and not state.log.waiting:
            return
        assert time.monotonic() < end, f"the log does not settle: {state.log}"
        time.sleep(0.05)


def _count(settings: Settings, account: Account) -> None:
    request_columns = log_store.requests.c
    prediction_columns = log_store.predictions.c
    query = (
        sql.select(request_columns.request_id, sql.func.count())
        .select_from(
            log_store.requests.join(
                log_store.predictions, prediction_columns.request == request_columns.number
            )
        )
        .group_by(request_columns.request_id)
    )
    with log_store.reading(settings) as connection:
        logged = {row[0]: row[1] for row in connection.execute(query)}
    aside = {entry.item: entry.rows for entry in set_aside.entries(settings, ("predictions",))}
    account.in_log = sum(logged.values())
    account.set_aside = sum(aside.values())
    account.gaps = sum(gap.rows for gap in predictions.gaps(settings))
    missing = 0
    for name, count in account.answered.items():
        if name in logged:
            if logged[name] != count:
                account.unequal.append(account.answered_by[name])
        elif count and name not in aside:
            missing += count
            account.silent.append(f"no trace of its {count} rows: {account.answered_by[name]}")
    account.lost = max(0, missing - account.gaps)
