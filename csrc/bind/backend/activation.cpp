#include "ops/activation.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "bind/names.h"
#include "ops/activation.h"

namespace fastcf::bind {
namespace {

template <class T>
void forward(Activation kind, const Array<Real>& x, const ArrayOrNone<Real>& bias, int n_threads) {
    const auto values = matrix_out<T>(x, "activate", "x");
    const auto biases = optional_vector_in<T>(bias, "activate", "bias");
    const ReleasedGil release;
    activate<T>(kind, values, biases, n_threads);
}

template <class T>
void backward(Activation kind, const Array<Real>& y, const Array<Real>& gradient,
              const ArrayOrNone<Real>& bias_gradient, int n_threads) {
    const char* caller = "activation_gradient";
    const auto values = matrix_in<T>(y, caller, "y");
    const auto slopes = matrix_out<T>(gradient, caller, "gradient");
    VectorView<T> sums;
    if (!bias_gradient.is_none()) sums = vector_out<T>(bias_gradient, caller, "bias_gradient");
    const ReleasedGil release;
    activation_gradient<T>(kind, values, slopes, sums, n_threads);
}

template <class T>
void drop(const Dropout& how, const Array<Real>& x, bool gradient, int n_threads) {
    const auto values = matrix_out<T>(x, "dropout", "x");
    const ReleasedGil release;
    (gradient ? dropout_gradient<T> : dropout<T>)(how, values, n_threads);
}

}  // namespace

void register_activation(py::module_& module) {
    module.def(
        "activate",
        [](const std::string& kind, const Array<Real>& x, const ArrayOrNone<Real>& bias, int n_threads) {
            const Activation which = named<Activation>(kind, "activate", "kind");
            (is_double(x) ? forward<double> : forward<float>)(which, x, bias, n_threads);
        },
        py::arg("kind"), py::arg("x"), py::arg("bias") = py::none(), py::arg("n_threads") = 0);
    module.def(
        "activation_gradient",
        [](const std::string& kind, const Array<Real>& y, const Array<Real>& gradient,
           const ArrayOrNone<Real>& bias_gradient, int n_threads) {
            const Activation which = named<Activation>(kind, "activation_gradient", "kind");
            (is_double(y) ? backward<double> : backward<float>)(which, y, gradient, bias_gradient, n_threads);
        },
        py::arg("kind"), py::arg("y"), py::arg("gradient"), py::arg("bias_gradient") = py::none(),
        py::arg("n_threads") = 0);
    module.def(
        "dropout",
        [](const Array<Real>& x, double rate, std::uint64_t key, bool alpha, bool gradient, int n_threads) {
            (is_double(x) ? drop<double> : drop<float>)({rate, alpha, key}, x, gradient, n_threads);
        },
        py::arg("x"), py::arg("rate"), py::arg("key"), py::arg("alpha") = false, py::arg("gradient") = false,
        py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
