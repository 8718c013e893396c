#include "ops/feature_effects.h"

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/host/register.h"

namespace fastcf::bind {
namespace {

void update_effects(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                    const Array<float>& column_factors, const Array<std::int64_t>& feature_indptr,
                    const Array<std::int32_t>& feature_rows, const Array<float>& feature_values,
                    const Array<float>& effects, const Array<float>& residuals, const Array<float>& factors,
                    const ArrayOrNone<float>& bias, const ArrayOrNone<float>& weights, double precision,
                    const Array<float>& prior, const ArrayOrNone<float>& noise, int n_threads) {
    const char* caller = "feature_effects";
    const auto out = matrix_out<float>(factors, caller, "factors");
    FeaturedRows rows;
    rows.column_factors = matrix_in<float>(column_factors, caller, "column_factors");
    rows.ratings = csr_in(indptr, indices, py::none(), rows.column_factors.rows, caller);
    rows.features = csr_in(feature_indptr, feature_rows, feature_values, out.rows, "feature_effects: features");
    rows.weights = optional_vector_in<float>(weights, caller, "weights");
    rows.precision = precision;
    rows.prior = matrix_in<float>(prior, caller, "prior");
    if (!noise.is_none()) rows.noise = matrix_in<float>(noise, caller, "noise");
    VectorView<float> out_bias;
    if (!bias.is_none()) out_bias = vector_out<float>(bias, caller, "bias");
    const auto drawn = matrix_out<float>(effects, caller, "effects");
    const auto left = vector_out<float>(residuals, caller, "residuals");
    const ReleasedGil release;
    feature_effects(rows, drawn, left, out, out_bias, n_threads);
}

}  // namespace

void register_feature_effects(py::module_& module) {
    module.def("feature_effects", &update_effects, py::arg("indptr"), py::arg("indices"), py::arg("column_factors"),
               py::arg("feature_indptr"), py::arg("feature_rows"), py::arg("feature_values"), py::arg("effects"),
               py::arg("residuals"), py::arg("factors"), py::arg("bias") = py::none(), py::kw_only(),
               py::arg("weights") = py::none(), py::arg("precision") = 1.0, py::arg("prior"),
               py::arg("noise") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
