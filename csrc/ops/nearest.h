// Exact nearest neighbours among the rows of a factor matrix.
#pragma once

#include <cstdint>
#include <optional>

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
    int n_threads = 0;                                         // <= 0: as many as OpenMP would use
};

// For each query the ids.cols nearest items, the query's own row left out, best first, ties by the smaller item row:
//
//   dot        scores are inner products, descending
//   cosine     scores are cosines in [-1, 1], descending; a row of zeros has cosine 0 with everything
//   euclidean  scores are distances, ascending
//
// Rows with too few items end in id -1 and score -infinity (dot, cosine) or +infinity (euclidean). Items whose score
// is NaN are left out. Built on topk() (ops/topk.h), with its determinism and cost: cosine searches normalised copies;
// euclidean selects by <p, q> - |q|^2 / 2 in float32, then computes the distances of the selected items from the
// differences in float64 and orders by them.
//
// Throws std::invalid_argument as topk() does, and for query_rows outside [-1, n_items).
void nearest(const NearestQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> scores);

}  // namespace fastcf
