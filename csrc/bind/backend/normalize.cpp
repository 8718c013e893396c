#include "ops/normalize.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

template <class T>
py::array_t<T> normalized(const Array<Real>& x, double length, int n_threads) {
    const auto rows = matrix_in<T>(x, "normalize", "x");
    py::array_t<T> out({rows.rows, rows.cols});
    const MatrixView<T> y{out.mutable_data(), rows.rows, rows.cols, rows.cols};
    {
        const ReleasedGil release;
        normalize<T>(rows, length, y, n_threads);
    }
    return out;
}

template <class T>
void normalized_backward(const Array<Real>& x, double length, const Array<Real>& gradient, int n_threads) {
    const char* caller = "normalize_gradient";
    const auto rows = matrix_in<T>(x, caller, "x");
    const auto slopes = matrix_out<T>(gradient, caller, "gradient");
    const ReleasedGil release;
    normalize_gradient<T>(rows, length, slopes, n_threads);
}

}  // namespace

void register_normalize(py::module_& module) {
    module.def(
        "normalize",
        [](const Array<Real>& x, double length, int n_threads) -> py::array {
            if (is_double(x)) return normalized<double>(x, length, n_threads);
            return normalized<float>(x, length, n_threads);
        },
        py::arg("x"), py::arg("length") = 1.0, py::arg("n_threads") = 0);
    module.def(
        "normalize_gradient",
        [](const Array<Real>& x, const Array<Real>& gradient, double length, int n_threads) {
            const auto run = is_double(x) ? normalized_backward<double> : normalized_backward<float>;
            run(x, length, gradient, n_threads);
        },
        py::arg("x"), py::arg("gradient"), py::arg("length") = 1.0, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
