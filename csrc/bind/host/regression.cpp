#include "ops/regression.h"

#include <string>

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/host/register.h"

namespace fastcf::bind {
namespace {

struct FeaturesForm {  // dense, or compressed rows
    static constexpr auto name = py::detail::const_name(
        "numpy.typing.NDArray[numpy.float32] | tuple[numpy.typing.NDArray[numpy.int64], "
        "numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.float32]]");
};

}  // namespace

void register_regression(py::module_& module) {
    module.def(
        "regress_rows",
        [](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<float>& values,
           const Formed<FeaturesForm>& features, const Array<float>& weights, const Array<float>& intercept,
           const ArrayOrNone<float>& sample_weights, const std::string& cost, const std::string& solver, double reg,
           bool fit_intercept, int max_iterations, double tolerance, int n_threads) -> Record {
            const char* caller = "regress_rows";
            const auto weights_out = matrix_out<float>(weights, caller, "weights");
            const auto intercept_out = vector_out<float>(intercept, caller, "intercept");
            RegressionFeatures known;
            known.is_sparse = py::isinstance<py::tuple>(features);
            if (known.is_sparse) {
                const auto parts = py::reinterpret_borrow<py::tuple>(features);
                check(parts.size() == 3, caller, ": sparse features must be (indptr, indices, values); got ",
                      parts.size(), " entries");
                check(!parts[2].is_none(), caller, ": sparse features must have values");
                known.sparse = csr_in(parts[0], parts[1], parts[2], weights_out.cols, caller);
            } else {
                known.dense = matrix_in<float>(features, caller, "features");
            }
            const CsrView ratings = csr_in(indptr, indices, values, known.rows(), caller);
            const auto weight_view = optional_vector_in<float>(sample_weights, caller, "sample_weights");
            RegressionOptions options;
            check(cost == "squared" || cost == "logistic", caller, ": cost must be 'squared' or 'logistic'; got '",
                  cost, "'");
            check(solver == "exact" || solver == "gradient", caller, ": solver must be 'exact' or 'gradient'; got '",
                  solver, "'");
            options.cost = cost == "squared" ? RegressionCost::squared : RegressionCost::logistic;
            options.solver = solver == "exact" ? RegressionSolver::exact : RegressionSolver::gradient;
            options.reg = reg;
            options.intercept = fit_intercept;
            options.max_iterations = max_iterations;
            options.tolerance = tolerance;
            options.n_threads = n_threads;
            RegressionReport report;
            {
                const ReleasedGil release;
                report = regress_rows(ratings, weight_view, known, options, weights_out, intercept_out);
            }
            py::dict result;
            result["iterations"] = report.iterations;
            result["unconverged"] = report.unconverged;
            return result;
        },
        py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("features"), py::arg("weights"),
        py::arg("intercept"), py::kw_only(), py::arg("sample_weights") = py::none(), py::arg("cost") = "squared",
        py::arg("solver") = "exact", py::arg("reg") = 1.0, py::arg("fit_intercept") = true,
        py::arg("max_iterations") = 100, py::arg("tolerance") = 1e-8, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
