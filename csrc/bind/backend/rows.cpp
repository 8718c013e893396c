#include "ops/rows.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {

namespace {

template <class T>
py::array_t<T> gather(const Array<Real>& matrix, const Array<std::int32_t>& rows, const ArrayOrNone<Real>& weights,
                      int n_threads) {
    const char* caller = "gather_rows";
    const auto from = matrix_in<T>(matrix, caller, "matrix");
    const auto named = vector_in<std::int32_t>(rows, caller, "rows");
    const auto factors = optional_vector_in<T>(weights, caller, "weights");
    py::array_t<T> out({named.size, from.cols});
    const MatrixView<T> to{out.mutable_data(), named.size, from.cols, from.cols};
    {
        const ReleasedGil release;
        gather_rows<T>(from, named, factors, to, n_threads);
    }
    return out;
}

}  // namespace

void register_rows(py::module_& module) {
    module.def(
        "gather_rows",
        [](const Array<Real>& matrix, const Array<std::int32_t>& rows, const ArrayOrNone<Real>& weights,
           int n_threads) -> py::array {
            if (is_double(matrix)) return gather<double>(matrix, rows, weights, n_threads);
            return gather<float>(matrix, rows, weights, n_threads);
        },
        py::arg("matrix"), py::arg("rows"), py::arg("weights") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
