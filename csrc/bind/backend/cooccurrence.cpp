#include "ops/cooccurrence.h"

#include "bind/arrays.h"
#include "bind/backend/lists.h"
#include "bind/backend/register.h"

namespace fastcf::bind {
namespace {

BestLists cooccurrence_arrays(const Array<std::int64_t>& left_indptr, const Array<std::int32_t>& left_indices,
                              const ArrayOrNone<float>& left_values, const Array<std::int64_t>& right_indptr,
                              const Array<std::int32_t>& right_indices, const ArrayOrNone<float>& right_values,
                              std::int64_t n_columns, std::int64_t m, const ArrayOrNone<float>& weights,
                              const ArrayOrNone<float>& row_scale, const ArrayOrNone<float>& column_scale,
                              float shrinkage, const ArrayOrNone<std::int32_t>& left_out, int n_threads) {
    const char* caller = "cooccurrence";
    check(n_columns >= 0, caller, ": n_columns must not be negative; got ", n_columns);
    CooccurrenceQuery query;
    query.right = csr_in(right_indptr, right_indices, right_values, n_columns, "cooccurrence: right");
    query.left = csr_in(left_indptr, left_indices, left_values, query.right.rows, "cooccurrence: left");
    const auto given = [&](const ArrayOrNone<float>& array, std::int64_t size, const char* name) {
        const auto view = optional_vector_in<float>(array, caller, name);
        check(array.is_none() || view.size == size, caller, ": ", name, " must have ", size, " entries; got ",
              view.size);
        return view;
    };
    query.weights = given(weights, query.right.rows, "weights");
    query.row_scale = given(row_scale, query.left.rows, "row_scale");
    query.column_scale = given(column_scale, n_columns, "column_scale");
    query.shrinkage = shrinkage;
    query.left_out = optional_vector_in<std::int32_t>(left_out, caller, "left_out");
    check(left_out.is_none() || query.left_out.size == query.left.rows, caller, ": left_out must have ",
          query.left.rows, " entries; got ", query.left_out.size);
    query.n_threads = n_threads;
    return best_lists(
        query.left.rows, m, caller,
        [&](const auto& ids, const auto& similarities) { cooccurrence(query, ids, similarities); }, "m");
}

}  // namespace

void register_cooccurrence(py::module_& module) {
    module.def("cooccurrence", &cooccurrence_arrays, py::arg("left_indptr"), py::arg("left_indices"),
               py::arg("left_values"), py::arg("right_indptr"), py::arg("right_indices"), py::arg("right_values"),
               py::arg("n_columns"), py::arg("m"), py::arg("weights") = py::none(), py::arg("row_scale") = py::none(),
               py::arg("column_scale") = py::none(), py::arg("shrinkage") = 0.0f, py::arg("left_out") = py::none(),
               py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
