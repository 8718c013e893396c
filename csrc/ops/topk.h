// Exact top-n retrieval.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "core/memory.h"
#include "core/view.h"

namespace fastcf {

struct TopkQuery {
    MatrixView<const float> queries;                           // (m, k)
    MatrixView<const float> items;                             // (n_items, k), n_items < 2^31
    VectorView<const float> item_bias;                         // (n_items,) or empty: none; -infinity: in no list
    VectorView<const std::int64_t> seen_indptr;                // (m + 1,) or empty: nothing was seen
    VectorView<const std::int32_t> seen_indices;               // sorted within each row
    std::optional<VectorView<const std::int32_t>> candidates;  // unique item rows; absent: every item
    VectorView<const std::int32_t> excluded;                   // item rows that nobody gets
    bool half_storage = false;                                 // queries and items rounded to half precision
    int n_threads = 0;                                         // <= 0: the default of the process
};

// For each query u the ids.cols best items by the score s(u, i) = <queries_u, items_i> + bias_i, in the order of
// math/order.h: score descending, ties by the smaller item row. Never an item that u has seen, that is excluded, that
// is no candidate, or whose score is NaN or -infinity. Rows with too few items end in id -1, score -infinity.
// To leave out many items at no cost, call after call, give them a bias of -infinity.
//
//   ids, scores   (m, n), n >= 0; written completely; must not overlap the inputs
//   numbers       float32: the bias, then k multiply-adds in the order of the factors. A pair's score does not depend
//                 on the other queries, the candidates, the blocking or the number of threads.
//   half_storage  the same for queries and items that were first rounded to the nearest number of half precision. A
//                 GPU makes such copies for the call, in half the memory, and reads them in half the time; the CPU
//                 rounds as it reads and is the slower for it.
//   deterministic yes, bit for bit, for any number of threads
//   cost          m * |candidates| * k multiply-adds, bound by the multipliers for m beyond about 30 and by reading
//                 the items once for fewer; O(threads * (block + users * n)) scratch, the items are never copied whole
//                 (a GPU has them whole in its memory, or half-precision copies of them, and some queries at a time)
//
// Throws std::invalid_argument for shapes that disagree and indices out of range, unsorted or repeated.
void topk(const TopkQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> scores);

// What topk() on every device asks of its arguments; what arrays hold is looked at where the host can.
inline void check_topk(const TopkQuery& query, const MatrixView<std::int32_t>& ids, const MatrixView<float>& scores) {
    constexpr const char* kCaller = "topk";
    const std::int64_t n_items = query.items.rows, n_queries = query.queries.rows;
    const auto check_items = [&](VectorView<const std::int32_t> rows, const char* name) {
        for (std::int64_t e = 0; e < rows.size && !device_only(rows.data); ++e)
            check(rows[e] >= 0 && rows[e] < n_items, kCaller, ": ", name, " must lie in [0, ", n_items, "); got ",
                  rows[e], " at entry ", e);
    };
    check(n_items <= std::numeric_limits<std::int32_t>::max(), kCaller, ": items must have fewer than 2^31 rows; got ",
          n_items);
    check(query.queries.cols == query.items.cols, kCaller, ": queries and items must have as many columns; got ",
          query.queries.cols, " and ", query.items.cols);
    check(query.item_bias.data == nullptr || query.item_bias.size == n_items, kCaller,
          ": item_bias must have one entry per item (", n_items, "); got ", query.item_bias.size);
    check(ids.rows == n_queries && scores.rows == n_queries && ids.cols == scores.cols, kCaller,
          ": the outputs must have one row per query and the same columns");
    const auto indptr = query.seen_indptr;
    const auto seen = query.seen_indices;
    check(!indptr.empty() || seen.empty(), kCaller, ": seen_indices needs seen_indptr");
    check(indptr.empty() || indptr.size == n_queries + 1, kCaller,
          ": seen_indptr must have one entry per query and one more (", n_queries + 1, "); got ", indptr.size);
    if (!indptr.empty() && !device_only(indptr.data) && !device_only(seen.data)) {
        check_csr({indptr.data, seen.data, nullptr, n_queries, n_items}, seen.size, kCaller);
        for (std::int64_t row = 0; row < n_queries; ++row)
            for (std::int64_t e = indptr[row] + 1; e < indptr[row + 1]; ++e)
                check(seen[e - 1] <= seen[e], kCaller, ": seen_indices must be sorted within each row; row ", row,
                      " is not, at entry ", e);
    }
    if (query.candidates) check_items(*query.candidates, "candidates");
    check_items(query.excluded, "excluded");
}

// The selection of lists whose scores are not products of factors, for which item_bias is added to scores: it has the
// shapes that checks are about.
inline TopkQuery selection_among(std::int64_t n_queries, std::int64_t n_items, TopkQuery selection) {
    selection.queries = {nullptr, n_queries, 0, 0};
    selection.items = {nullptr, n_items, 0, 0};
    return selection;
}

// Which items take part: all of them (`ids` empty), or `ids` in ascending order.
struct TopkPool {
    std::int64_t size = 0;
    std::vector<std::int32_t> ids;

    std::int32_t id(std::int64_t position) const {
        return ids.empty() ? static_cast<std::int32_t>(position) : ids[static_cast<std::size_t>(position)];
    }
};

// The candidates less the excluded, which the host must be able to read.
inline TopkPool topk_pool(const TopkQuery& query) {
    TopkPool pool{query.items.rows, {}};
    if (!query.candidates && query.excluded.empty()) return pool;
    if (query.candidates) {
        pool.ids.assign(query.candidates->data, query.candidates->data + query.candidates->size);
        std::sort(pool.ids.begin(), pool.ids.end());
        const auto repeated = std::adjacent_find(pool.ids.begin(), pool.ids.end());
        check(repeated == pool.ids.end(), "topk: candidates must be unique; got ",
              repeated == pool.ids.end() ? 0 : *repeated, " more than once");
    } else {
        pool.ids.resize(static_cast<std::size_t>(query.items.rows));
        for (std::size_t i = 0; i < pool.ids.size(); ++i) pool.ids[i] = static_cast<std::int32_t>(i);
    }
    if (!query.excluded.empty()) {
        std::vector<bool> out(static_cast<std::size_t>(query.items.rows));
        for (std::int64_t e = 0; e < query.excluded.size; ++e) out[static_cast<std::size_t>(query.excluded[e])] = true;
        const auto gone = [&](std::int32_t id) { return out[static_cast<std::size_t>(id)]; };
        pool.ids.erase(std::remove_if(pool.ids.begin(), pool.ids.end(), gone), pool.ids.end());
    }
    pool.size = static_cast<std::int64_t>(pool.ids.size());
    return pool;
}

}  // namespace fastcf
