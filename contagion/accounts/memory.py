"""One instruction that numba has no name for: begin to read a row long before it is needed.

Rows of the accounts that a shell lists are far apart in memory, and a processor that meets them one by one waits for
each. Imported by compiled code only.
"""

from importlib import import_module
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_READ, _KEEP, _DATA = 0, 3, 1
"""Arguments of LLVM's ``llvm.prefetch``: not to write, to stay in all caches, not instructions."""


def _prefetch(context: Any, array: Any, row: Any, column: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = target.make_array(array)(target, builder, arguments[0])
        items: Any = import_module("numba.core.cgutils")
        place = items.get_item_pointer(target, builder, array, block, list(arguments[1:]), wraparound=False)
        word, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        flags = [ir.Constant(word, flag) for flag in (_READ, _KEEP, _DATA)]
        builder.call(function, [builder.bitcast(place, byte), *flags])
        return target.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


prefetch: Any = intrinsic(_prefetch)
"""``prefetch(array, row, column)`` begins to read that cache line of a two-dimensional array; it changes nothing."""
