#include "ops/penalty.h"

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/register.h"

namespace fastcf::bind {

void register_penalty(py::module_& module) {
    module.def(
        "penalty",
        [](const py::object& rows, const py::object& weights, int n_threads) {
            const auto matrix = held_matrix_in<float>(rows, "penalty", "rows");
            const auto vector = held_vector_in<float>(weights, "penalty", "weights");
            const py::gil_scoped_release release;
            return penalty(matrix, vector, n_threads);
        },
        py::arg("rows"), py::arg("weights"), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
