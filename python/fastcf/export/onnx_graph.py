"""Networks as ONNX graphs: values with operators, which write nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fastcf.export.formulas import Network

__all__ = ["onnx_model"]

_OPSET, _IR_VERSION = 17, 8  # runtimes of 2022 and later read them
_ACTIVATIONS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "leaky_relu": "LeakyRelu",
    "elu": "Elu",
    "selu": "Selu",
}


class _Value:
    """A value of a graph."""

    def __init__(self, graph: _Graph, name: str) -> None:
        self._graph, self.name = graph, name

    def _with(self, kind: str, other: Any, *, first: bool = True) -> _Value:
        pair = (self, other) if first else (other, self)
        return self._graph.node(kind, *pair)

    def __add__(self, other: Any) -> _Value:
        return self._with("Add", other)

    def __sub__(self, other: Any) -> _Value:
        return self._with("Sub", other)

    def __mul__(self, other: Any) -> _Value:
        return self._with("Mul", other)

    def __truediv__(self, other: Any) -> _Value:
        return self._with("Div", other)

    def __rtruediv__(self, other: Any) -> _Value:
        return self._with("Div", other, first=False)

    def __matmul__(self, other: Any) -> _Value:
        return self._with("MatMul", other)

    @property
    def T(self) -> _Value:  # noqa: N802 - NumPy's and PyTorch's name
        return self._graph.node("Transpose", self, perm=[1, 0])


class _Graph:
    """A graph that is being written; see :class:`fastcf.export.formulas.Arrays` for its functions."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self._count = 0

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{kind.lower()}_{self._count}"

    def constant(self, value: Any, dtype: Any = np.float32) -> _Value:
        """Return a constant; equal ones are one."""
        array = np.asarray(value, dtype)
        name = f"{array.dtype.name}_{'_'.join(map(str, array.reshape(-1).tolist()))}_{array.ndim}"
        return self.table(name, array)

    def table(self, name: str, array: NDArray[Any]) -> _Value:
        """Return a named array."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return _Value(self, name)

    def node(self, kind: str, *inputs: Any, **attributes: Any) -> _Value:
        """Write a node; numbers among its inputs are constants."""
        values = [each if isinstance(each, _Value) else self.constant(each) for each in inputs]
        name = self._fresh(kind)
        self.nodes.append(helper.make_node(kind, [value.name for value in values], [name], name=name, **attributes))
        return _Value(self, name)

    @contextmanager
    def body(self) -> Iterator[list[Any]]:
        """Write nodes into the body of a loop meanwhile."""
        outer, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outer

    def activation(self, name: str, x: _Value) -> _Value:
        return x if name == "identity" else self.node(_ACTIVATIONS[name], x)

    def missing(self, x: _Value) -> _Value:
        return self.node("IsNaN", x)

    def at_least(self, x: _Value, number: float) -> _Value:
        return self.node("GreaterOrEqual", x, number)

    def negative(self, rows: _Value) -> _Value:
        return self.node("Less", rows, self.constant(0, np.int32))

    def where(self, condition: _Value, x: Any, other: Any) -> _Value:
        return self.node("Where", condition, x, other)

    def maximum(self, x: _Value, number: float) -> _Value:
        return self.node("Max", x, number)

    def log1p(self, x: _Value) -> _Value:
        return self.node("Log", x + 1.0)

    def absolute(self, x: _Value) -> _Value:
        return self.node("Abs", x)

    def sqrt(self, x: _Value) -> _Value:
        return self.node("Sqrt", x)

    def clipped(self, x: _Value, low: float, high: float) -> _Value:
        return self.node("Clip", x, low, high)

    def sum(self, x: _Value) -> _Value:
        return self.node("ReduceSum", x, self.constant([-1], np.int64), keepdims=1)

    def rows_of(self, table: _Value, rows: _Value) -> _Value:
        return self.node("Gather", table, rows, axis=0)

    def part(self, table: _Value, begin: int, end: int) -> _Value:
        return self.node("Slice", table, *(self.constant([each], np.int64) for each in (begin, end, 0)))

    def with_zeros(self, table: _Value) -> _Value:
        return self.node("Pad", table, self.constant([0, 0, 1, 0], np.int64))

    def joined(self, parts: list[_Value]) -> _Value:
        return self.node("Concat", *parts, axis=-1)

    def of_each(self, x: _Value, weights: _Value) -> _Value:
        axis = self.constant([1], np.int64)
        return self.node("Squeeze", self.node("Unsqueeze", x, axis) @ weights, axis)

    def column(self, x: _Value) -> _Value:
        return self.node("Unsqueeze", x, self.constant([1], np.int64))

    def flat(self, x: _Value) -> _Value:
        return self.node("Squeeze", x, self.constant([1], np.int64))

    def repeated(self, step: Callable[[_Value], _Value], start: _Value, rounds: int, tolerance: float) -> _Value:
        names = {kind: self._fresh(kind) for kind in ("round", "go_on", "carried")}
        with self.body() as nodes:
            change = step(_Value(self, names["carried"]))
            moved = _Value(self, names["carried"]) + change
            # 0 is one of the numbers, so that there is a largest one where there are no rows.
            sizes = self.node("Concat", self.absolute(self.flat(change)), self.constant([0.0]), axis=0)
            largest = self.node("ReduceMax", sizes, keepdims=0)
            more = self.node("Greater", largest, tolerance)
            body = helper.make_graph(
                nodes,
                self._fresh("body"),
                [
                    helper.make_tensor_value_info(names["round"], TensorProto.INT64, []),
                    helper.make_tensor_value_info(names["go_on"], TensorProto.BOOL, []),
                    helper.make_tensor_value_info(names["carried"], TensorProto.FLOAT, ["n", 1]),
                ],
                [
                    helper.make_tensor_value_info(more.name, TensorProto.BOOL, []),
                    helper.make_tensor_value_info(moved.name, TensorProto.FLOAT, ["n", 1]),
                ],
            )
        return self.node("Loop", self.constant(rounds, np.int64), self.constant(True, np.bool_), start, body=body)


def onnx_model(network: Network, name: str, metadata: dict[str, str]) -> onnx.ModelProto:
    """Return a network as an ONNX model."""
    graph = _Graph()
    values = {
        each: graph.table(each, np.asarray(array))
        for each, array in {**network.parameters, **network.constants}.items()
    }
    inputs = [
        helper.make_tensor_value_info(each.name, TensorProto.INT32 if each.rows else TensorProto.FLOAT, each.shape)
        for each in network.inputs
    ]
    found = network.predictions(graph, values, tuple(_Value(graph, each.name) for each in network.inputs))
    graph.nodes.append(helper.make_node("Identity", [found.name], ["predictions"]))
    output = helper.make_tensor_value_info("predictions", TensorProto.FLOAT, network.output)
    used = {each for node in graph.nodes for each in _inputs_of(node)}
    stored = [tensor for each, tensor in graph.initializers.items() if each in used]
    model = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, [output], stored),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="fastcf",
    )
    helper.set_model_props(model, metadata)
    return model


def _inputs_of(node: Any) -> Iterator[str]:
    """Yield the names that a node reads, those of its body included."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _inputs_of(inner)
