import importlib.util

import numpy as np
import pytest

from radlet.inference.openvino.runtime import import_openvino
from radlet.inference.openvino.weights import compress_weights, quantise

# Found, not imported: only radlet imports OpenVINO without its telemetry.
has_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra openvino")
VALUES = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)


@pytest.mark.parametrize(("group_size", "steps"), [(None, 254), (32, 15)], ids=["8 bits", "4 bits"])
def test_no_weight_moves_by_more_than_half_a_step(group_size: int | None, steps: int) -> None:
    numbers, scales = quantise(VALUES, group_size)
    groups = VALUES.reshape(numbers.shape)
    wrong = np.abs(numbers * scales - groups)
    # The end of the 4-bit range that the largest weight does not take is one step short.
    allowed = np.abs(scales) * (0.5 if group_size is None else 1.0)
    assert (wrong <= allowed + 1e-6).all()
    assert numbers.min() >= (-127 if group_size is None else -8)
    assert numbers.max() <= (127 if group_size is None else 7)
    assert np.unique(numbers).size <= steps + 1


def test_rows_of_zeros_stay_zeros() -> None:
    for group_size in (None, 32):
        numbers, scales = quantise(np.zeros((2, 64), np.float32), group_size)
        assert not numbers.any()
        assert np.isfinite(scales).all()


@has_openvino
@pytest.mark.parametrize("bits", [8, 4])
def test_a_compressed_graph_multiplies_by_the_quantised_weights(bits: int) -> None:
    openvino = import_openvino()
    ops = openvino.opset13
    given = ops.parameter([-1, 128], openvino.Type.f32)
    inner = ops.matmul(given, ops.constant(VALUES), False, True)
    last = np.random.default_rng(1).normal(size=(80, 64)).astype(np.float32)
    logits = ops.matmul(inner, ops.constant(last), False, True)
    logits.output(0).set_names({"logits"})
    graph = openvino.Model([logits], [given], "two")
    compress_weights(graph, bits=bits, group_size=32)
    kinds = {op.get_element_type().get_type_name() for op in graph.get_ops() if op.get_type_name() == "Constant"}
    assert {"i8", "i4"} & kinds == ({"i8"} if bits == 8 else {"i8", "i4"}), "the last matrix keeps 8 bits"
    x = np.random.default_rng(2).normal(size=(3, 128)).astype(np.float32)
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    found = openvino.Core().compile_model(graph, "CPU", exact)(x)[0]
    numbers, scales = quantise(VALUES, 32 if bits == 4 else None)
    ends, sizes = quantise(last, None)
    expected = x @ (numbers * scales).reshape(VALUES.shape).T @ (ends * sizes).T
    np.testing.assert_allclose(found, expected, atol=2e-3)
