#include "ops/bias.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {

void register_bias(py::module_& module) {
    module.def(
        "fit_biases",
        [](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<float>& values,
           const Array<float>& user_bias, const Array<float>& item_bias, const ArrayOrNone<float>& weights,
           const ArrayOrNone<float>& item_offset, double user_reg, double item_reg, int max_iterations,
           double tolerance, int n_threads) -> Record {
            const char* caller = "fit_biases";
            const auto users = vector_out<float>(user_bias, caller, "user_bias");
            const auto items = vector_out<float>(item_bias, caller, "item_bias");
            const CsrView ratings = csr_in(indptr, indices, values, items.size, caller);
            const auto weight_view = optional_vector_in<float>(weights, caller, "weights");
            const auto offset_view = optional_vector_in<float>(item_offset, caller, "item_offset");
            const BiasOptions options{user_reg, item_reg, max_iterations, tolerance};
            BiasFit fit;
            {
                const ReleasedGil release;
                fit = fit_biases(ratings, weight_view, offset_view, options, users, items, n_threads);
            }
            py::dict result;
            result["mean"] = fit.mean;
            result["user_reg"] = fit.user_reg;
            result["item_reg"] = fit.item_reg;
            result["noise_variance"] = fit.noise_variance;
            result["iterations"] = fit.iterations;
            return result;
        },
        py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("user_bias"), py::arg("item_bias"),
        py::kw_only(), py::arg("weights") = py::none(), py::arg("item_offset") = py::none(), py::arg("user_reg") = -1.0,
        py::arg("item_reg") = -1.0, py::arg("max_iterations") = 50, py::arg("tolerance") = 1e-4,
        py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
