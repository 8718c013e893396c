#include "ops/squared_error.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"

namespace fastcf::bind {
namespace {

template <class T>
double error(const py::object& predicted, const py::object& target, const py::object& weights, double scale,
             const py::object& gradient, int n_threads) {
    const char* caller = "squared_error";
    const auto z = vector_in<T>(predicted, caller, "predicted"), y = vector_in<T>(target, caller, "target");
    const auto w = optional_vector_in<T>(weights, caller, "weights");
    const auto slopes = vector_out<T>(gradient, caller, "gradient");
    double sum = 0;
    const py::gil_scoped_release release;
    squared_error<T>(z, y, w, scale, slopes, &sum, n_threads);
    return sum;
}

}  // namespace

void register_squared_error(py::module_& module) {
    module.def(
        "squared_error",
        [](const py::object& predicted, const py::object& target, const py::object& gradient, const py::object& weights,
           double scale, int n_threads) {
            const auto run = py::isinstance<py::array_t<double>>(predicted) ? error<double> : error<float>;
            return run(predicted, target, weights, scale, gradient, n_threads);
        },
        py::arg("predicted"), py::arg("target"), py::arg("gradient"), py::arg("weights") = py::none(),
        py::arg("scale") = 1.0, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
