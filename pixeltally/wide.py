"""Looks at 32 bytes of a text at once, and moves as many: for compiled loops. `compiled.PADDING` must follow a text."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pixeltally.compiled import Array, Number, inlined

#: So many bytes.
WIDE = 32

_BYTES = ir.VectorType(ir.IntType(8), WIDE)


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    """Where the bytes are, for LLVM."""
    start = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(start, [at]), _BYTES.as_pointer())


def _each(number: int) -> Any:
    return ir.Constant(_BYTES, [number] * WIDE)


def _looks_for(test: Callable[[Any, Any], Any]) -> Any:
    """What gives a bit for each byte from a place on that `test` finds, the lowest for the first."""

    def look(_context: Any, text: Any, at: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = _place(context, builder, signature.args[0], *arguments)
            found = test(builder, builder.load(place, align=1))
            return builder.zext(builder.bitcast(found, ir.IntType(WIDE)), ir.IntType(64))

        return types.uint64(text, types.int64), code

    return intrinsic(look)


def _is_end(builder: Any, found: Any) -> Any:
    quotes, slashes = (builder.icmp_unsigned("==", found, _each(end)) for end in b'"\\')
    return builder.or_(builder.icmp_unsigned("<", found, _each(0x20)), builder.or_(quotes, slashes))


def _is_not_plain(builder: Any, found: Any) -> Any:
    quotes, slashes = (builder.icmp_unsigned("==", found, _each(end)) for end in b'"\\')
    # As signed numbers, bytes that are no ASCII are less than zero.
    return builder.or_(builder.icmp_signed("<", found, _each(0x20)), builder.or_(quotes, slashes))


def _is_line_end(builder: Any, found: Any) -> Any:
    return builder.icmp_unsigned("==", found, _each(ord("\n")))


def _is_not_of_name(builder: Any, found: Any) -> Any:
    other = builder.icmp_unsigned("!=", found, _each(ord("_")))
    for first, last in ("az", "09", "-."):
        behind = builder.sub(found, _each(ord(first)))
        other = builder.and_(other, builder.icmp_unsigned(">", behind, _each(ord(last) - ord(first))))
    return other


def _first_bit(_context: Any, bits: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), code


def _move(_context: Any, into: Any, at: Any, text: Any, start: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = _place(context, builder, signature.args[2], *arguments[2:])
        target = _place(context, builder, signature.args[0], *arguments[:2])
        builder.store(builder.load(source, align=1), target, align=1)
        return context.get_dummy_value()

    return types.void(into, types.int64, text, types.int64), code


#: `ends_text(text, at)`: which bytes are a quote, a backslash or a control.
ends_text: Callable[[Array, Number], Number] = _looks_for(_is_end)

#: `ends_plain(text, at)`: likewise, and which are no ASCII: what is left stands in JSON as it is.
ends_plain: Callable[[Array, Number], Number] = _looks_for(_is_not_plain)

#: `ends_line(text, at)`: which bytes end a line.
ends_line: Callable[[Array, Number], Number] = _looks_for(_is_line_end)

#: `ends_name(text, at)`: which bytes can't stand in a name.
ends_name: Callable[[Array, Number], Number] = _looks_for(_is_not_of_name)

#: `first_bit(bits)`: which bit of a number that is not zero is the first.
first_bit: Callable[[Number], int] = intrinsic(_first_bit)  # type: ignore[assignment]

_move_wide: Callable[[Array, int, Array, int], None] = intrinsic(_move)  # type: ignore[assignment]


@inlined
def copy(into: Array, at: int, text: Array, start: int, length: int) -> int:
    """Copy a piece of `text`; where it ends. What follows there is overwritten too, up to `WIDE` bytes."""
    for done in range(0, length, WIDE):
        _move_wide(into, at + done, text, start + done)
    return at + length
