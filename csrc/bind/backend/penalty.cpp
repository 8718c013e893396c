#include "ops/penalty.h"

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

template <class T>
double penalty_in(const py::object& rows, const py::object& weights, int n_threads) {
    const auto matrix = held_matrix_in<T>(rows, "penalty", "rows");
    VectorView<const T> vector;
    if (!weights.is_none()) {
        vector = held_vector_in<T>(weights, "penalty", "weights");
        check(vector.size == matrix.rows, "penalty: weights must have one entry per row (", matrix.rows, "); got ",
              vector.size);
    }
    const ReleasedGil release;
    return penalty<T>(matrix, vector, n_threads);
}

}  // namespace

void register_penalty(py::module_& module) {
    module.def(
        "penalty",
        [](const Array<Real>& rows, const ArrayOrNone<Real>& weights, int n_threads) {
            const auto run = is_double(rows) ? penalty_in<double> : penalty_in<float>;
            return run(rows, weights, n_threads);
        },
        py::arg("rows"), py::arg("weights") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
