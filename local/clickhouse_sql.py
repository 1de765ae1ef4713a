"""What the HTTP interface must know of a statement before the engine runs it: pure functions over text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class EngineError(Exception):
    """An error in the engine's own words: `Code: N. DB::Exception: … (NAME)`."""


@dataclass(frozen=True)
class Statement:
    """One statement that is not an insert with data; `text` is the engine's one-line form without FORMAT."""

    text: str
    format: str  # named by its FORMAT clause, else empty
    settings: str  # the SETTINGS clause behind FORMAT, else empty

    @property
    def has_result(self) -> bool:
        """It answers with a table, even if an empty one."""
        return re.match(r"(SELECT|WITH|SHOW|DESCRIBE|EXISTS|EXPLAIN|CHECK)\b|\(", self.text) is not None

    @property
    def selects(self) -> bool:
        """It may answer with any amount of rows, of any columns."""
        return re.match(r"(SELECT|WITH)\b|\(", self.text) is not None

    @property
    def writes(self) -> bool:
        """It has the engine write rows."""
        return self.text.startswith("INSERT ")

    @property
    def defines(self) -> bool:
        """It has the engine write what a table or another thing is."""
        defined = re.match(r"(CREATE|ALTER|RENAME|EXCHANGE|ATTACH)\b", self.text)
        return defined is not None and not self.needs_session

    @property
    def sets_session(self) -> bool:
        """It changes its session's settings or database."""
        return re.match(r"(SET|USE)\b", self.text) is not None

    @property
    def needs_session(self) -> bool:
        """What it makes lives as long as its session."""
        return self.sets_session or re.match(r"CREATE (OR REPLACE )?TEMPORARY\b", self.text) is not None

    def into(self, path: str, format: str) -> str:
        """The same statement with its result written to the file `path`."""
        return f"{self.text} INTO OUTFILE '{path}' TRUNCATE FORMAT {format}{self.settings}"


_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`", re.S)
_FORMAT = re.compile(r" FORMAT (\w+|~+)( SETTINGS [^()]*)?$")  # Null stands in quotes
_ENGINES = (
    r"\w*MergeTree|Null|Memory|Log|TinyLog|StripeLog|Set|Join|Buffer|Merge|View|MaterializedView|Dictionary"
    r"|GenerateRandom|Atomic"
)
# Grants can't take these away: they reach files, the network or a shell as the process's user.
_REFUSED = re.compile(
    rf"INTO OUTFILE|FROM INFILE|\bENGINE = (?!(?:{_ENGINES})\b)\w+|\bfile\(|\bSOURCE\((?!CLICKHOUSE|NULL)\w+"
    r"|^ATTACH .* FROM\b"
)


def read(normal: str) -> Statement:
    """A statement from the engine's one-line form of it; raise EngineError where it is not served."""
    bare = _QUOTED.sub(lambda quoted: "~" * len(quoted[0]), normal)
    if refused := _REFUSED.search(bare):
        raise EngineError(f"Code: 497. DB::Exception: default: Not enough privileges for {refused[0]}. (ACCESS_DENIED)")
    clause = _FORMAT.search(bare)
    if clause is None:
        return Statement(normal, "", "")
    return Statement(normal[: clause.start()], normal[slice(*clause.span(1))].strip("`"), normal[clause.end(1) :])


_TOKEN = re.compile(
    rb"""(?P<space>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
    |'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*"
    |(?P<word>\w+)|(?P<other>.)""",
    re.S | re.X,
)
_DATA = re.compile(rb"\s+(\w+)[ \t\r\f]*\n?")


class Insert(NamedTuple):
    """An INSERT that carries its data, and where in its text they begin."""

    into: str  # INSERT INTO table (columns)
    settings: str  # its SETTINGS clause, else empty
    format: str
    offset: int

    def of(self, path: str) -> str:
        """The INSERT that takes its data from a file."""
        return f"{self.into} FROM INFILE '{path}' {self.settings} FORMAT {self.format}"


def split_insert(head: bytes) -> Insert | None:
    """The INSERT that `head` begins with; None for any other statement, INSERT … SELECT included."""
    depth, before, settings = 0, b"", None
    for token in _TOKEN.finditer(head):
        if token["space"]:
            continue
        word = (token["word"] or b"").upper()
        if not before and word != b"INSERT":
            return None
        if token["other"] in (b"(", b")"):
            depth += 1 if token["other"] == b"(" else -1
        elif depth == 0 and before not in (b"INTO", b"TABLE", b"."):
            name = _DATA.match(head, token.end()) if word == b"FORMAT" else None
            if word == b"VALUES" or name:
                end = token.start() if settings is None else settings
                clauses = head[:end].decode(), head[end : token.start()].decode()
                return Insert(*clauses, name[1].decode() if name else "Values", (name or token).end())
            if word == b"SETTINGS":
                settings = token.start()
            if word in (b"SELECT", b"WITH", b"FROM") or token["other"] == b";":
                return None
        before = word or token["other"] or b"'"
    return None


def error_code(message: str) -> int:
    """ClickHouse's number of an error; 1002 (UNKNOWN_EXCEPTION) where its text names none."""
    code = re.search(r"Code: (\d+)\. DB::Exception", message)
    return int(code[1]) if code else 1002


_STATUS = {
    400: (6, 25, 26, 27, 38, 41, 53, 62, 72, 117, 167, 168, 321, 408, 427, 441, 457, 675, 676),
    401: (194,),
    403: (192, 193, 512, 516),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336),
    501: (48,),
    503: (76, 209, 439),
}


def http_status(code: int) -> int:
    """The HTTP status that a server gives an error of this number."""
    return next((status for status, codes in _STATUS.items() if code in codes), 500)


#: What clickhouse-go asks first, to learn how Native is to be read.
HELLO = "SELECT displayName(), version(), revision(), timezone()"


def hello(display_name: str, version: str, revision: int) -> bytes:
    """Native answer to HELLO for a client that reads it as of `revision`: read the rest as of revision 0."""
    texts = [("displayName()", display_name), ("version()", version), ("timezone()", "UTC")]
    columns = [(name, "String", _text(value)) for name, value in texts]
    columns.insert(2, ("revision()", "UInt32", bytes(4)))
    return native_block(columns, 1, revision)


def native_block(columns: Iterable[tuple[str, str, bytes]], rows: int, revision: int = 0) -> bytes:
    """A Native block of these (name, type, values as they are written)."""
    columns = list(columns)
    info = b"\1\0\2\xff\xff\xff\xff\0" if revision >= 51903 else b""
    own_serialization = b"\0" if revision >= 54454 else b""
    parts = [info, _varint(len(columns)), _varint(rows)]
    for name, kind, values in columns:
        parts += [_text(name), _text(kind), own_serialization, values]
    return b"".join(parts)


def _text(text: str) -> bytes:
    return _varint(len(text.encode())) + text.encode()


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    return bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


def quote(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_name(name: str) -> str:
    """An identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
