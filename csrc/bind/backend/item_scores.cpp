#include "ops/item_scores.h"

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/register.h"

namespace fastcf::bind {
namespace {

ItemScoresQuery item_query(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                           const Array<float>& values, const Array<std::int32_t>& users, const Array<float>& weights,
                           const ArrayOrNone<float>& base, int n_threads, const char* caller) {
    ItemScoresQuery query;
    query.weights = held_matrix_in<float>(weights, caller, "weights");
    vector_in<float>(values, caller, "values");  // None is no answer here
    query.histories = csr_in(indptr, indices, values, query.weights.rows, caller);
    query.users = vector_in<std::int32_t>(users, caller, "users");
    query.base = optional_vector_in<float>(base, caller, "base");
    check(base.is_none() || query.base.size == query.weights.rows, caller, ": base must have one entry per item (",
          query.weights.rows, "); got ", query.base.size);
    query.n_threads = n_threads;
    return query;
}

py::array_t<float> scores_of_all_items(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const Array<float>& values, const Array<std::int32_t>& users,
                                       const Array<float>& weights, const ArrayOrNone<float>& base, int n_threads) {
    const auto query = item_query(indptr, indices, values, users, weights, base, n_threads, "item_scores_block");
    py::array_t<float> out({query.users.size, query.weights.rows});
    const auto view = view_of(out);
    {
        const py::gil_scoped_release release;
        item_scores_block(query, view);
    }
    return out;
}

py::array_t<float> scores_of_pairs(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                   const Array<float>& values, const Array<std::int32_t>& users,
                                   const Array<std::int32_t>& items, const Array<float>& weights,
                                   const ArrayOrNone<float>& base, int n_threads) {
    const char* caller = "item_scores_pairs";
    const auto query = item_query(indptr, indices, values, users, weights, base, n_threads, caller);
    const auto item_rows = vector_in<std::int32_t>(items, caller, "items");
    py::array_t<float> out(query.users.size);
    const VectorView<float> view{out.mutable_data(), query.users.size};
    {
        const py::gil_scoped_release release;
        item_scores_pairs(query, item_rows, view);
    }
    return out;
}

Tuple<py::array_t<std::int32_t>, py::array_t<float>> best_items(
    const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<float>& values,
    const Array<std::int32_t>& users, const Array<float>& weights, std::int64_t n, const ArrayOrNone<float>& base,
    const ArrayOrNone<std::int64_t>& seen_indptr, const ArrayOrNone<std::int32_t>& seen_indices,
    const ArrayOrNone<std::int32_t>& candidates, const ArrayOrNone<std::int32_t>& excluded, int n_threads) {
    const char* caller = "item_scores_best";
    const auto query = item_query(indptr, indices, values, users, weights, base, n_threads, caller);
    TopkQuery selection;
    check(seen_indptr.is_none() == seen_indices.is_none(), caller,
          ": seen_indptr and seen_indices must be given together");
    selection.seen_indptr = optional_vector_in<std::int64_t>(seen_indptr, caller, "seen_indptr");
    check(seen_indptr.is_none() || !selection.seen_indptr.empty(), caller, ": seen_indptr must not be empty");
    selection.seen_indices = optional_vector_in<std::int32_t>(seen_indices, caller, "seen_indices");
    if (!candidates.is_none()) selection.candidates = vector_in<std::int32_t>(candidates, caller, "candidates");
    selection.excluded = optional_vector_in<std::int32_t>(excluded, caller, "excluded");
    check(n >= 0, caller, ": n must not be negative; got ", n);
    const std::int64_t m = query.users.size;
    py::array_t<std::int32_t> ids({m, n});
    py::array_t<float> scores({m, n});
    const MatrixView<std::int32_t> ids_view{ids.mutable_data(), m, n, n};
    const MatrixView<float> scores_view{scores.mutable_data(), m, n, n};
    {
        const py::gil_scoped_release release;
        item_scores_best(query, selection, ids_view, scores_view);
    }
    return py::make_tuple(ids, scores);
}

}  // namespace

void register_item_scores(py::module_& module) {
    module.def("item_scores_block", &scores_of_all_items, py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("users"), py::arg("weights"), py::arg("base") = py::none(), py::arg("n_threads") = 0);
    module.def("item_scores_pairs", &scores_of_pairs, py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("users"), py::arg("items"), py::arg("weights"), py::arg("base") = py::none(),
               py::arg("n_threads") = 0);
    module.def("item_scores_best", &best_items, py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("users"), py::arg("weights"), py::arg("n"), py::arg("base") = py::none(),
               py::arg("seen_indptr") = py::none(), py::arg("seen_indices") = py::none(),
               py::arg("candidates") = py::none(), py::arg("excluded") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
