#include "ops/als.h"

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

void als_update_arrays(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                       const ArrayOrNone<float>& values, const Array<float>& column_factors,
                       const Array<float>& factors, const ArrayOrNone<float>& bias, const ArrayOrNone<float>& weights,
                       const ArrayOrNone<float>& row_offset, const ArrayOrNone<float>& column_offset, float offset,
                       double reg, double reg_exponent, double bias_reg, double precision,
                       const ArrayOrNone<float>& prior, const ArrayOrNone<float>& prior_mean,
                       const ArrayOrNone<float>& noise, std::uint64_t noise_seed, int cg_steps,
                       const ArrayOrNone<double>& squared_errors, const ArrayOrNone<float>& penalties,
                       double unobserved, const ArrayOrNone<float>& spectrum, const ArrayOrNone<float>& residuals,
                       bool only_errors, int n_threads) {
    const char* caller = "als_update";
    AlsProblem problem;
    problem.column_factors = matrix_in<float>(column_factors, caller, "column_factors");
    problem.ratings = csr_in(indptr, indices, values, problem.column_factors.rows, caller);
    problem.weights = optional_vector_in<float>(weights, caller, "weights");
    problem.row_offset = optional_vector_in<float>(row_offset, caller, "row_offset");
    problem.column_offset = optional_vector_in<float>(column_offset, caller, "column_offset");
    problem.offset = offset;
    AlsPrior what;
    what.reg = reg;
    what.reg_exponent = reg_exponent;
    what.bias_reg = bias_reg;
    what.precision = precision;
    if (!prior.is_none()) what.matrix = matrix_in<float>(prior, caller, "prior");
    what.prior_mean = optional_vector_in<float>(prior_mean, caller, "prior_mean");
    what.penalties = optional_vector_in<float>(penalties, caller, "penalties");
    what.unobserved = unobserved;
    what.spectrum = optional_vector_in<float>(spectrum, caller, "spectrum");
    AlsMethod method;
    method.only_errors = only_errors;
    if (!residuals.is_none()) method.residuals = vector_out<float>(residuals, caller, "residuals");
    method.cg_steps = cg_steps;
    method.noise_seed = noise_seed;
    if (!noise.is_none()) method.noise = held_matrix_in<float>(noise, caller, "noise");
    if (!squared_errors.is_none()) method.squared_errors = vector_out<double>(squared_errors, caller, "squared_errors");
    const auto out = matrix_out<float>(factors, caller, "factors");
    VectorView<float> out_bias;
    if (!bias.is_none()) out_bias = vector_out<float>(bias, caller, "bias");
    check(bias.is_none() || out_bias.size == out.rows, caller, ": bias must have ", out.rows, " entries; got ",
          out_bias.size);
    const ReleasedGil release;
    als_update(problem, what, method, out, out_bias, n_threads);
}

}  // namespace

void register_als(py::module_& module) {
    module.def("als_update", &als_update_arrays, py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("column_factors"), py::arg("factors"), py::arg("bias") = py::none(), py::kw_only(),
               py::arg("weights") = py::none(), py::arg("row_offset") = py::none(),
               py::arg("column_offset") = py::none(), py::arg("offset") = 0.0f, py::arg("reg") = 0.0,
               py::arg("reg_exponent") = 0.0, py::arg("bias_reg") = 0.0, py::arg("precision") = 1.0,
               py::arg("prior") = py::none(), py::arg("prior_mean") = py::none(), py::arg("noise") = py::none(),
               py::arg("noise_seed") = 0, py::arg("cg_steps") = 0, py::arg("squared_errors") = py::none(),
               py::arg("penalties") = py::none(), py::arg("unobserved") = 0.0, py::arg("spectrum") = py::none(),
               py::arg("residuals") = py::none(), py::arg("only_errors") = false, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
