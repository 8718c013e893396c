#include "ops/rows.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"

namespace fastcf::bind {

void register_rows(py::module_& module) {
    module.def(
        "gather_rows",
        [](const py::object& matrix, const py::object& rows, const py::object& weights, int n_threads) {
            const char* caller = "gather_rows";
            const auto from = matrix_in<float>(matrix, caller, "matrix");
            const auto named = vector_in<std::int32_t>(rows, caller, "rows");
            const auto factors = optional_vector_in<float>(weights, caller, "weights");
            py::array_t<float> out({named.size, from.cols});
            const MatrixView<float> to{out.mutable_data(), named.size, from.cols, from.cols};
            {
                const py::gil_scoped_release release;
                gather_rows(from, named, factors, to, n_threads);
            }
            return out;
        },
        py::arg("matrix"), py::arg("rows"), py::arg("weights") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
