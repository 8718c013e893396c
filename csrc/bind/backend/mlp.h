// Parameters of dense layers, as Python hands them over: arrays in tuples and lists.
#pragma once

#include "bind/arrays.h"
#include "networks/mlp.h"

namespace fastcf::bind {

template <class T>
typename Mlp<T>::Arrays hidden_arrays(const py::object& weights, const py::object& biases, bool writable,
                                      const char* caller) {
    typename Mlp<T>::Arrays arrays;
    for (const py::handle array : parts_in(weights, caller, "hidden weights"))
        arrays.matrices.push_back(array_matrix<T>(array, writable, caller, "hidden weights"));
    for (const py::handle array : parts_in(biases, caller, "hidden biases"))
        arrays.biases.push_back(array_vector<T>(array, writable, caller, "hidden biases"));
    return arrays;
}

}  // namespace fastcf::bind
