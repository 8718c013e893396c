// Factors and biases of NumPy, as trainers take them and fill them.
#pragma once

#include "bind/arrays.h"
#include "train/factors.h"

namespace fastcf::bind {

inline FactorArrays factor_arrays(const py::object& user_factors, const py::object& item_factors,
                                  const py::object& user_bias, const py::object& item_bias, bool writable,
                                  const char* caller) {
    const auto matrix = [&](const py::object& object, const char* name) {
        py::array array = checked_array<float>(object, 2, writable, caller, name);
        return MatrixView<float>{static_cast<float*>(const_cast<void*>(array.data())), array.shape(0), array.shape(1),
                                 array.shape(1)};
    };
    const auto vector = [&](const py::object& object, const char* name) {
        if (object.is_none()) return VectorView<float>{};
        py::array array = checked_array<float>(object, 1, writable, caller, name);
        return VectorView<float>{static_cast<float*>(const_cast<void*>(array.data())), array.shape(0)};
    };
    return {matrix(user_factors, "user_factors"), matrix(item_factors, "item_factors"), vector(user_bias, "user_bias"),
            vector(item_bias, "item_bias")};
}

}  // namespace fastcf::bind
