// Exact nearest neighbours among the rows of a factor matrix.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/view.h"

namespace fastcf {

enum class Metric { dot, cosine, euclidean };

struct NearestQuery {
    MatrixView<const float> queries;  // (m, k)
    MatrixView<const float> items;    // (n_items, k), n_items < 2^31
    Metric metric = Metric::cosine;
    VectorView<const std::int32_t> query_rows;                 // (m,) or empty: the item each query is, -1 for none
    std::optional<VectorView<const std::int32_t>> candidates;  // unique item rows; absent: every item
    VectorView<const std::int32_t> excluded;                   // item rows that nobody gets
    VectorView<const float> item_bias;                         // (n_items,) or empty, see below; not for cosines
    int n_threads = 0;                                         // <= 0: the default of the process
};

// For each query the ids.cols nearest items, the query's own row left out, best first, ties by the smaller item row:
//
//   dot        scores are inner products, descending
//   cosine     scores are cosines in [-1, 1], descending; a row of zeros has cosine 0 with everything
//   euclidean  scores are distances, ascending
//
// item_bias is what searches of the same items share: for dot it is added to the products, for euclidean it stands in
// place of -|q|^2 / 2. -infinity leaves an item out, at no cost.
//
// Rows with too few items end in id -1 and score -infinity (dot, cosine) or +infinity (euclidean). Items whose score
// is NaN or beyond float32 are left out. Built on topk() (ops/topk.h), with its determinism and cost: cosine searches
// normalised copies; euclidean selects by <p, q> - |q|^2 / 2 in float32, then computes the distances of the selected
// items from the differences in float64 and orders by them.
//
// Throws std::invalid_argument as topk() does, and for query_rows outside [-1, n_items).
void nearest(const NearestQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> scores);

// What nearest() on every device asks of its arguments, beside what topk() does. query_rows lies on the host.
inline void check_nearest(const NearestQuery& query) {
    const std::int64_t n_queries = query.queries.rows, n_items = query.items.rows;
    check(query.queries.cols == query.items.cols, "nearest: queries and items must have as many columns; got ",
          query.queries.cols, " and ", query.items.cols);
    check(query.item_bias.empty() || query.metric != Metric::cosine, "nearest: item_bias must be None for cosines");
    check(query.item_bias.empty() || query.item_bias.size == n_items,
          "nearest: item_bias must have one entry per item (", n_items, "); got ", query.item_bias.size);
    check(query.query_rows.empty() || query.query_rows.size == n_queries,
          "nearest: query_rows must have one entry per query (", n_queries, "); got ", query.query_rows.size);
    for (std::int64_t u = 0; u < query.query_rows.size; ++u)
        check(query.query_rows[u] >= -1 && query.query_rows[u] < n_items, "nearest: query_rows must lie in [-1, ",
              n_items, "); got ", query.query_rows[u], " at entry ", u);
}

// What some queries have seen, for topk(): themselves.
struct OwnRows {
    explicit OwnRows(VectorView<const std::int32_t> query_rows) {
        if (query_rows.empty()) return;
        indptr.push_back(0);
        for (std::int64_t u = 0; u < query_rows.size; ++u) {
            if (query_rows[u] >= 0) rows.push_back(query_rows[u]);
            indptr.push_back(static_cast<std::int64_t>(rows.size()));
        }
    }
    VectorView<const std::int64_t> seen_indptr() const {
        return {indptr.data(), static_cast<std::int64_t>(indptr.size())};
    }
    VectorView<const std::int32_t> seen_indices() const {
        return {rows.data(), static_cast<std::int64_t>(rows.size())};
    }

    std::vector<std::int64_t> indptr;
    std::vector<std::int32_t> rows;
};

}  // namespace fastcf
