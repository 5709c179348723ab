"""Weights of an OpenVINO graph in 8 or 4 bits: symmetric, rounded to the nearest, with no data.

The form is the one that OpenVINO multiplies without unpacking: a constant of whole numbers, converted, times its scales.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radlet.inference.openvino.runtime import import_openvino

_SMALLEST = 4096
"""Weights of matrices with fewer entries are not worth a scale."""


def compress_weights(graph: Any, *, bits: int, group_size: int) -> None:
    """Rewrite the matrices of a graph in place.

    Args:
        graph: An `openvino.Model` whose matrices are constants.
        bits: 8, with a scale a row; or 4, with a scale a group. The embeddings and the matrix before the logits, whose
            errors are not averaged out, take 8 in either case.
        group_size: Neighbours of a row that share a scale in 4 bits.
    """
    done: dict[str, Any] = {}
    last = _matrix_of_logits(graph)
    for op in graph.get_ordered_ops():
        port = {"MatMul": 1, "Gather": 0}.get(op.get_type_name())
        if port is None:
            continue
        weights = _constant(op.input_value(port).get_node())
        if weights is None or len(weights.shape) != 2 or weights.data.size < _SMALLEST:
            continue
        if op.get_type_name() == "MatMul" and not op.get_attributes()["transpose_b"]:
            continue  # its rows are not its outputs
        name = weights.get_friendly_name()
        if name not in done:
            coarse = bits == 4 and op.get_type_name() == "MatMul" and op is not last
            done[name] = _compressed(_values(weights), group_size if coarse else None)
        op.input(port).replace_source_output(done[name].output(0))
    graph.validate_nodes_and_infer_types()


def quantise(values: NDArray[np.float32], group_size: int | None) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return whole numbers and scales whose product is nearest the values.

    Args:
        values: (rows, columns).
        group_size: Columns that share a scale, in 4 bits; None: 8 bits and a scale a row.

    Returns:
        The numbers, (rows, columns) or (rows, groups, group_size), and scales that they can be multiplied by.
    """
    if group_size is None:
        scales = np.abs(values).max(-1, keepdims=True) / 127
        limit = (-127, 127)
    else:
        values = values.reshape(len(values), -1, group_size)
        # The largest weight of a group becomes -8, whichever its sign: 4 bits reach one further on that side.
        at = np.abs(values).argmax(-1)[..., None]
        scales = np.take_along_axis(values, at, -1) / -8
        limit = (-8, 7)
    scales = np.where(scales == 0, 1, scales).astype(np.float32)
    return np.clip(np.rint(values / scales), *limit).astype(np.int8), scales


def _compressed(values: NDArray[np.float32], group_size: int | None) -> Any:
    openvino = import_openvino()
    from openvino import opset13 as ops

    if group_size is not None and values.shape[1] % group_size:
        group_size = None
    numbers, scales = quantise(values, group_size)
    if group_size is None:
        constant = ops.constant(numbers, dtype=openvino.Type.i8)
    else:
        packed = openvino.Tensor(
            openvino.helpers.pack_data(numbers, openvino.Type.i4), openvino.Shape(numbers.shape), openvino.Type.i4
        )
        constant = openvino.op.Constant(packed)
    scaled = ops.multiply(ops.convert(constant, openvino.Type.f32), ops.constant(scales))
    return scaled if group_size is None else ops.reshape(scaled, list(values.shape), special_zero=False)


def _matrix_of_logits(graph: Any) -> Any:
    """Return the multiplication that the logits come from, past an addition or a conversion."""
    node = graph.output("logits").get_node().input_value(0).get_node()
    while node.get_type_name() != "MatMul":
        node = node.input_value(0).get_node()
    return node


def _constant(node: Any) -> Any:
    """Return the constant behind a node that is one, or that converts one; else None."""
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def _values(constant: Any) -> NDArray[np.float32]:
    return np.asarray(constant.get_data(dtype=np.float32))
