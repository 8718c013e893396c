// Parameters of networks, as Python hands them over: arrays in tuples and lists. What is only read may be read-only.
#pragma once

#include "bind/arrays.h"
#include "networks/mlp.h"

namespace fastcf::bind {

template <class T>
MatrixView<T> array_matrix(const py::handle& object, bool writable, const char* caller, const char* name) {
    const auto array = checked_array<T>(py::reinterpret_borrow<py::object>(object), 2, writable, caller, name);
    return {static_cast<T*>(const_cast<void*>(array.data())), array.shape(0), array.shape(1), array.shape(1)};
}
template <class T>
VectorView<T> array_vector(const py::handle& object, bool writable, const char* caller, const char* name) {
    const auto array = checked_array<T>(py::reinterpret_borrow<py::object>(object), 1, writable, caller, name);
    return {static_cast<T*>(const_cast<void*>(array.data())), array.shape(0)};
}

template <class T>
typename Mlp<T>::Arrays hidden_arrays(const py::sequence& weights, const py::sequence& biases, bool writable,
                                      const char* caller) {
    typename Mlp<T>::Arrays arrays;
    for (const py::handle array : weights)
        arrays.matrices.push_back(array_matrix<T>(array, writable, caller, "hidden weights"));
    for (const py::handle array : biases)
        arrays.biases.push_back(array_vector<T>(array, writable, caller, "hidden biases"));
    return arrays;
}

}  // namespace fastcf::bind
