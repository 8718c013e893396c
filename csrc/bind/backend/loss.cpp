#include "ops/loss.h"

#include <string>

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "bind/names.h"

namespace fastcf::bind {
namespace {

template <class T>
double loss_gradient_of(Loss loss, const Array<Real>& predicted, const Array<Real>& target,
                        const ArrayOrNone<Real>& weights, double scale, const Array<Real>& gradient, int n_threads) {
    const char* caller = "loss_gradient";
    const auto z = vector_in<T>(predicted, caller, "predicted"), y = vector_in<T>(target, caller, "target");
    const auto w = optional_vector_in<T>(weights, caller, "weights");
    const auto slopes = vector_out<T>(gradient, caller, "gradient");
    double sum = 0;
    const ReleasedGil release;
    loss_gradient<T>(loss, z, y, w, scale, slopes, &sum, n_threads);
    return sum;
}

}  // namespace

void register_loss(py::module_& module) {
    module.def(
        "loss_gradient",
        [](const Array<Real>& predicted, const Array<Real>& target, const Array<Real>& gradient,
           const ArrayOrNone<Real>& weights, const std::string& loss, double scale, int n_threads) {
            const Loss kind = named<Loss>(loss, "loss_gradient", "loss");
            const auto run = is_double(predicted) ? loss_gradient_of<double> : loss_gradient_of<float>;
            return run(kind, predicted, target, weights, scale, gradient, n_threads);
        },
        py::arg("predicted"), py::arg("target"), py::arg("gradient"), py::arg("weights") = py::none(),
        py::arg("loss") = "squared", py::arg("scale") = 1.0, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
