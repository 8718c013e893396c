// Exact top-n retrieval.
#pragma once

#include <cstdint>
#include <optional>

#include "core/view.h"

namespace fastcf {

struct TopkQuery {
    MatrixView<const float> queries;                           // (m, k)
    MatrixView<const float> items;                             // (n_items, k), n_items < 2^31
    VectorView<const float> item_bias;                         // (n_items,) or empty: no bias
    VectorView<const std::int64_t> seen_indptr;                // (m + 1,) or empty: nothing was seen
    VectorView<const std::int32_t> seen_indices;               // sorted within each row
    std::optional<VectorView<const std::int32_t>> candidates;  // unique item rows; absent: every item
    VectorView<const std::int32_t> excluded;                   // item rows that nobody gets
    int n_threads = 0;                                         // <= 0: as many as OpenMP would use
};

// For each query u the ids.cols best items by the score s(u, i) = <queries_u, items_i> + bias_i, in the order of
// math/order.h: score descending, ties by the smaller item row. Never an item that u has seen, that is excluded, that
// is no candidate, or whose score is NaN. Rows with too few items end in id -1, score -infinity.
//
//   ids, scores   (m, n), n >= 0; written completely; must not overlap the inputs
//   numbers       float32: the bias, then k multiply-adds in the order of the factors. A pair's score does not depend
//                 on the other queries, the candidates, the blocking or the number of threads.
//   deterministic yes, bit for bit, for any number of threads
//   cost          m * |candidates| * k multiply-adds, bound by the multipliers for m beyond about 30 and by reading
//                 the items once for fewer; O(threads * (block + users * n)) scratch, the items are never copied whole
//
// Throws std::invalid_argument for shapes that disagree and indices out of range, unsorted or repeated.
void topk(const TopkQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> scores);

}  // namespace fastcf
