#include "ops/in_batch_softmax.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

template <class T>
double in_batch_softmax_of(const Array<Real>& scores, const Array<std::int64_t>& indptr,
                           const Array<std::int32_t>& items, const Array<Real>& offsets,
                           const ArrayOrNone<Real>& weights, int n_threads) {
    const char* caller = "in_batch_softmax";
    const auto rows = matrix_out<T>(scores, caller, "scores");
    const auto shifts = vector_in<T>(offsets, caller, "offsets");
    const auto factors = optional_vector_in<T>(weights, caller, "weights");
    const CsrView chosen = csr_in(indptr, items, py::none(), rows.cols, caller);
    check(chosen.rows == rows.rows, caller, ": indptr must have ", rows.rows + 1, " entries; got ", chosen.rows + 1);
    check(factors.empty() || factors.size == chosen.nnz(), caller, ": weights must have ", chosen.nnz(),
          " entries; got ", factors.size);
    double cost = 0;
    const ReleasedGil release;
    in_batch_softmax<T>(rows, {chosen.indptr, chosen.indices, factors.data, chosen.nnz()}, shifts, &cost, n_threads);
    return cost;
}

}  // namespace

void register_in_batch_softmax(py::module_& module) {
    module.def(
        "in_batch_softmax",
        [](const Array<Real>& scores, const Array<std::int64_t>& indptr, const Array<std::int32_t>& items,
           const Array<Real>& offsets, const ArrayOrNone<Real>& weights, int n_threads) {
            const auto run = is_double(scores) ? in_batch_softmax_of<double> : in_batch_softmax_of<float>;
            return run(scores, indptr, items, offsets, weights, n_threads);
        },
        py::arg("scores"), py::arg("indptr"), py::arg("items"), py::arg("offsets"), py::arg("weights") = py::none(),
        py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
