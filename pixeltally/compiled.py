"""Loops over columns, compiled to machine code by numba at their first call, and kept on the disk for the next process.

What is kept belongs to these very sources: numba itself looks at the file of a loop alone, and not at those of the
loops that it calls. `make setup` compiles all of them ahead (`streams.warm`, `ingest.warm`).
"""

import os
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

Array = np.ndarray[Any, np.dtype[Any]]

#: What a compiled loop reckons with: a whole number of 64 bits, signed or not.
Number = Any

#: Bytes that must follow a text: `load`, and what is in `pixeltally.wide`, go beyond its end.
PADDING = bytes(32)

#: Folders whose sources compiled loops are made of.
_TIERS = ("pixeltally", "ingest", "streams")


def _folder() -> Path:
    """Where compiled loops are kept: beside the sources, or in `NUMBA_CACHE_DIR`."""
    here = Path(__file__).parent
    paths = sorted(path for tier in _TIERS for path in (here.parent / tier).glob("*.py"))
    name = blake2b(b"".join(map(Path.read_bytes, paths)), digest_size=8).hexdigest()
    return Path(os.environ.get("NUMBA_CACHE_DIR") or here / "__pycache__") / f"compiled-{name}"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


_FOLDER = _folder()
_KEPT = _is_writable(_FOLDER)
numba.config.CACHE_DIR = str(_FOLDER)  # type: ignore[attr-defined]

#: Without numba's runtime, which counts who holds an array: at each call in a loop that was an eighth of all CPU.
_compile: Any = partial(numba.njit, cache=_KEPT, _nrt=False)


def signed(bits: int) -> int:
    """64 bits as columns hold them."""
    return bits - (1 << 64) if bits >> 63 else bits


def compiled(function: Function) -> Function:
    """The same function, as machine code; it takes numbers and arrays, and makes no arrays."""
    return _compile()(function)  # type: ignore[no-any-return]


def inlined(function: Function) -> Function:
    """As `compiled`, for what loops call at each turn: a part of them, in machine code."""
    return _compile(forceinline=True)(function)  # type: ignore[no-any-return]


def _load(_context: Any, text: Any, at: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_word(context, builder, signature, arguments), align=1)

    return types.uint64(text, types.int64), code


def _byte(_context: Any, text: Any, at: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.zext(builder.load(builder.gep(array.data, [arguments[1]])), context.get_value_type(types.int64))

    return types.int64(text, types.int64), code


def _prefetch(_context: Any, table: Any, row: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        flag, place = ir.IntType(32), ir.PointerType(ir.IntType(8))
        stride = builder.extract_value(array.strides, 0)
        address = builder.gep(builder.bitcast(array.data, place), [builder.mul(arguments[1], stride)])
        kind = ir.FunctionType(ir.VoidType(), [place, flag, flag, flag])
        known, name = builder.module.globals, "llvm.prefetch.p0"
        builder.call(known.get(name) or ir.Function(builder.module, kind, name), [address, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(table, types.int64), code


def _word(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    word = context.get_value_type(types.uint64).as_pointer()
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), word)


#: `load(text, at)`: the eight bytes of a text from there, as a number. For compiled loops, as are the next two.
load: Callable[[Array, int], Any] = intrinsic(_load)  # type: ignore[assignment]

#: `byte(text, at)`: the byte there, which is not before the beginning: half the work of `text[at]`.
byte: Callable[[Array, int], int] = intrinsic(_byte)  # type: ignore[assignment]

#: `prefetch(table, row)`: has the processor bring a row near, which is asked for a little later.
prefetch: Callable[[Array, Number], None] = intrinsic(_prefetch)  # type: ignore[assignment]
