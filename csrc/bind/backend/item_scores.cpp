#include "ops/item_scores.h"

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/lists.h"
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
    return filled_table(query.users.size, query.weights.rows, [&](const auto& out) { item_scores_block(query, out); });
}

py::array_t<float> scores_of_pairs(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                   const Array<float>& values, const Array<std::int32_t>& users,
                                   const Array<std::int32_t>& items, const Array<float>& weights,
                                   const ArrayOrNone<float>& base, int n_threads) {
    const char* caller = "item_scores_pairs";
    const auto query = item_query(indptr, indices, values, users, weights, base, n_threads, caller);
    const auto item_rows = vector_in<std::int32_t>(items, caller, "items");
    return filled_vector(query.users.size, [&](const auto& out) { item_scores_pairs(query, item_rows, out); });
}

BestLists best_items(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<float>& values,
                     const Array<std::int32_t>& users, const Array<float>& weights, std::int64_t n,
                     const ArrayOrNone<float>& base, const ArrayOrNone<std::int64_t>& seen_indptr,
                     const ArrayOrNone<std::int32_t>& seen_indices, const ArrayOrNone<std::int32_t>& candidates,
                     const ArrayOrNone<std::int32_t>& excluded, const ArrayOrNone<float>& item_bias, int n_threads) {
    const char* caller = "item_scores_best";
    const auto query = item_query(indptr, indices, values, users, weights, base, n_threads, caller);
    TopkQuery selection;
    select_items(selection, seen_indptr, seen_indices, candidates, excluded, item_bias, query.weights.rows, caller);
    return best_lists(query.users.size, n, caller,
                      [&](const auto& ids, const auto& scores) { item_scores_best(query, selection, ids, scores); });
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
               py::arg("candidates") = py::none(), py::arg("excluded") = py::none(), py::arg("item_bias") = py::none(),
               py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
