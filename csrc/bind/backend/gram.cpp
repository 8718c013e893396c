#include "ops/gram.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

py::array_t<float> gram_array(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                              std::int64_t n_columns, const ArrayOrNone<float>& values,
                              const ArrayOrNone<float>& targets, const ArrayOrNone<double>& row_weights,
                              int n_threads) {
    const char* caller = "gram";
    check(n_columns >= 0, caller, ": n_columns must not be negative; got ", n_columns);
    GramProblem problem;
    problem.rows = csr_in(indptr, indices, py::none(), n_columns, caller);
    const auto per_entry = [&](const ArrayOrNone<float>& object, const char* name) {
        const auto view = optional_vector_in<float>(object, caller, name);
        check(object.is_none() || view.size == problem.rows.nnz(), caller, ": ", name,
              " must have one entry per index (", problem.rows.nnz(), "); got ", view.size);
        return object.is_none() ? nullptr : view.data;
    };
    problem.left = per_entry(values, "values");
    problem.right = per_entry(targets, "targets");
    problem.row_weights = optional_vector_in<double>(row_weights, caller, "row_weights");
    check(row_weights.is_none() || problem.row_weights.size == problem.rows.rows, caller,
          ": row_weights must have one entry per row (", problem.rows.rows, "); got ", problem.row_weights.size);
    problem.n_threads = n_threads;
    py::array_t<float> out({n_columns, n_columns});
    const auto view = view_of(out);
    {
        const ReleasedGil release;
        gram(problem, view);
    }
    return out;
}

}  // namespace

void register_gram(py::module_& module) {
    module.def("gram", &gram_array, py::arg("indptr"), py::arg("indices"), py::arg("n_columns"),
               py::arg("values") = py::none(), py::arg("targets") = py::none(), py::arg("row_weights") = py::none(),
               py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
