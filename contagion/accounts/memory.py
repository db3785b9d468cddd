"""One instruction that numba has no name for: begin to read a row long before it is needed.

Rows of the accounts that a shell lists are far apart in memory, and a processor that meets them one by one waits for
each. Imported by compiled code only.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_READ, _KEEP, _DATA = 0, 3, 1
"""Arguments of LLVM's ``llvm.prefetch``: not to write, to stay in all caches, not instructions."""


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(context: Any, array: Any, row: Any, column: Any) -> Any:
    """Begin to read the cache line of ``array[row, column]`` of a two-dimensional array; changes nothing else."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = target.make_array(array)(target, builder, arguments[0])
        place = cgutils.get_item_pointer(target, builder, array, block, list(arguments[1:]), wraparound=False)
        word = ir.IntType(32)
        byte = ir.IntType(8).as_pointer()
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, word, word, word]))
        builder.call(function, [builder.bitcast(place, byte), *(ir.Constant(word, flag) for flag in (_READ, _KEEP, _DATA))])
        return target.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate
