#include "ops/softmax.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

template <class T>
double softmax_gradient_of(const Array<std::int64_t>& indptr, const Array<std::int32_t>& columns,
                           const Array<Real>& strengths, const Array<Real>& scores, const ArrayOrNone<Real>& bias,
                           double scale, int n_threads) {
    const char* caller = "softmax_gradient";
    const auto values = matrix_out<T>(scores, caller, "scores");
    const CsrView chosen = csr_in(indptr, columns, py::none(), values.cols, caller);
    const auto x = vector_in<T>(strengths, caller, "strengths");
    check(x.size == chosen.nnz(), caller, ": strengths must have ", chosen.nnz(), " entries; got ", x.size);
    const auto biases = optional_vector_in<T>(bias, caller, "bias");
    double sum = 0;
    const ReleasedGil release;
    softmax_gradient<T>({chosen.indptr, chosen.indices, x.data, chosen.rows, x.size}, biases, scale, values, &sum,
                        n_threads);
    return sum;
}

}  // namespace

void register_softmax(py::module_& module) {
    module.def(
        "softmax_gradient",
        [](const Array<std::int64_t>& indptr, const Array<std::int32_t>& columns, const Array<Real>& strengths,
           const Array<Real>& scores, const ArrayOrNone<Real>& bias, double scale, int n_threads) {
            const auto run = is_double(scores) ? softmax_gradient_of<double> : softmax_gradient_of<float>;
            return run(indptr, columns, strengths, scores, bias, scale, n_threads);
        },
        py::arg("indptr"), py::arg("columns"), py::arg("strengths"), py::arg("scores"), py::arg("bias") = py::none(),
        py::arg("scale") = 1.0, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
