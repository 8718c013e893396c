#include "ops/sparse_item_scores.h"

#include "bind/arrays.h"
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
    py::array_t<float> out({query.users.size, query.weights.cols});
    const auto view = view_of(out);
    {
        const py::gil_scoped_release release;
        sparse_item_scores_block(query, view);
    }
    return out;
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
    py::array_t<float> out(query.users.size);
    const VectorView<float> view{out.mutable_data(), query.users.size};
    {
        const py::gil_scoped_release release;
        sparse_item_scores_pairs(query, item_rows, view);
    }
    return out;
}

Tuple<py::array_t<std::int32_t>, py::array_t<float>> sparse_best_items(
    const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<float>& values,
    const Array<std::int32_t>& users, const Array<std::int64_t>& weights_indptr,
    const Array<std::int32_t>& weights_indices, const Array<float>& weights_values, std::int64_t n_items,
    std::int64_t n, const ArrayOrNone<float>& base, const ArrayOrNone<std::int64_t>& seen_indptr,
    const ArrayOrNone<std::int32_t>& seen_indices, const ArrayOrNone<std::int32_t>& candidates,
    const ArrayOrNone<std::int32_t>& excluded, int n_threads) {
    const char* caller = "sparse_item_scores_best";
    const auto query = sparse_item_query(indptr, indices, values, users, weights_indptr, weights_indices,
                                         weights_values, n_items, base, n_threads, caller);
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
        sparse_item_scores_best(query, selection, ids_view, scores_view);
    }
    return py::make_tuple(ids, scores);
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
               py::arg("excluded") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
