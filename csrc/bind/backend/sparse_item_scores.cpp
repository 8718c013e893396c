#include "ops/sparse_item_scores.h"

#include "bind/arrays.h"
#include "bind/backend/lists.h"
#include "bind/backend/register.h"

namespace fastcf::bind {
namespace {

// Compressed rows whose rows the op looks at when it uses them.
CsrView unread_rows(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<float>& values,
                    std::int64_t cols, const char* caller, const char* name) {
    const auto offsets = vector_in<std::int64_t>(indptr, caller, (std::string(name) + "_indptr").c_str());
    const auto columns = vector_in<std::int32_t>(indices, caller, (std::string(name) + "_indices").c_str());
    const auto stored = vector_in<float>(values, caller, (std::string(name) + "_values").c_str());
    check(offsets.size >= 1, caller, ": ", name, "_indptr must have at least one entry; got 0");
    check(stored.size == columns.size, caller, ": ", name, "_values must have as many entries as ", name, "_indices (",
          columns.size, "); got ", stored.size);
    const std::int64_t rows = offsets.size - 1;
    return {offsets.data, columns.data, stored.data, rows, cols, columns.size};
}

SparseItemScoresQuery sparse_item_query(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                        const Array<float>& values, const Array<std::int32_t>& users,
                                        const Array<std::int64_t>& weights_indptr,
                                        const Array<std::int32_t>& weights_indices, const Array<float>& weights_values,
                                        std::int64_t n_items, const ArrayOrNone<float>& base, int n_threads,
                                        const char* caller) {
    SparseItemScoresQuery query;
    check(n_items >= 0, caller, ": n_items must not be negative; got ", n_items);
    query.weights = unread_rows(weights_indptr, weights_indices, weights_values, n_items, caller, "weights");
    query.histories = unread_rows(indptr, indices, values, query.weights.rows, caller, "histories");
    query.users = vector_in<std::int32_t>(users, caller, "users");
    query.base = optional_vector_in<float>(base, caller, "base");
    check(base.is_none() || query.base.size == n_items, caller, ": base must have one entry per item (", n_items,
          "); got ", query.base.size);
    query.n_threads = n_threads;
    return query;
}

py::array_t<float> sparse_scores_of_all(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                        const Array<float>& values, const Array<std::int32_t>& users,
                                        const Array<std::int64_t>& weights_indptr,
                                        const Array<std::int32_t>& weights_indices, const Array<float>& weights_values,
                                        std::int64_t n_items, const ArrayOrNone<float>& base, int n_threads) {
    const auto query = sparse_item_query(indptr, indices, values, users, weights_indptr, weights_indices,
                                         weights_values, n_items, base, n_threads, "sparse_item_scores_block");
    return filled_table(query.users.size, query.weights.cols,
                        [&](const auto& out) { sparse_item_scores_block(query, out); });
}

py::array_t<float> sparse_scores_of_pairs(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                          const Array<float>& values, const Array<std::int32_t>& users,
                                          const Array<std::int32_t>& items, const Array<std::int64_t>& weights_indptr,
                                          const Array<std::int32_t>& weights_indices,
                                          const Array<float>& weights_values, std::int64_t n_items,
                                          const ArrayOrNone<float>& base, int n_threads) {
    const char* caller = "sparse_item_scores_pairs";
    const auto query = sparse_item_query(indptr, indices, values, users, weights_indptr, weights_indices,
                                         weights_values, n_items, base, n_threads, caller);
    const auto item_rows = vector_in<std::int32_t>(items, caller, "items");
    return filled_vector(query.users.size, [&](const auto& out) { sparse_item_scores_pairs(query, item_rows, out); });
}

BestLists sparse_best_items(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                            const Array<float>& values, const Array<std::int32_t>& users,
                            const Array<std::int64_t>& weights_indptr, const Array<std::int32_t>& weights_indices,
                            const Array<float>& weights_values, std::int64_t n_items, std::int64_t n,
                            const ArrayOrNone<float>& base, const ArrayOrNone<std::int64_t>& seen_indptr,
                            const ArrayOrNone<std::int32_t>& seen_indices, const ArrayOrNone<std::int32_t>& candidates,
                            const ArrayOrNone<std::int32_t>& excluded, const ArrayOrNone<float>& item_bias,
                            int n_threads) {
    const char* caller = "sparse_item_scores_best";
    const auto query = sparse_item_query(indptr, indices, values, users, weights_indptr, weights_indices,
                                         weights_values, n_items, base, n_threads, caller);
    TopkQuery selection;
    select_items(selection, seen_indptr, seen_indices, candidates, excluded, item_bias, n_items, caller);
    return best_lists(query.users.size, n, caller, [&](const auto& ids, const auto& scores) {
        sparse_item_scores_best(query, selection, ids, scores);
    });
}

}  // namespace

void register_sparse_item_scores(py::module_& module) {
    module.def("sparse_item_scores_block", &sparse_scores_of_all, py::arg("indptr"), py::arg("indices"),
               py::arg("values"), py::arg("users"), py::arg("weights_indptr"), py::arg("weights_indices"),
               py::arg("weights_values"), py::arg("n_items"), py::arg("base") = py::none(), py::arg("n_threads") = 0);
    module.def("sparse_item_scores_pairs", &sparse_scores_of_pairs, py::arg("indptr"), py::arg("indices"),
               py::arg("values"), py::arg("users"), py::arg("items"), py::arg("weights_indptr"),
               py::arg("weights_indices"), py::arg("weights_values"), py::arg("n_items"), py::arg("base") = py::none(),
               py::arg("n_threads") = 0);
    module.def("sparse_item_scores_best", &sparse_best_items, py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("users"), py::arg("weights_indptr"), py::arg("weights_indices"), py::arg("weights_values"),
               py::arg("n_items"), py::arg("n"), py::arg("base") = py::none(), py::arg("seen_indptr") = py::none(),
               py::arg("seen_indices") = py::none(), py::arg("candidates") = py::none(),
               py::arg("excluded") = py::none(), py::arg("item_bias") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
