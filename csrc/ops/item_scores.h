// Scores of linear item models: the sum, over the items of a user's history, of what each gives to the others.
#pragma once

#include <cstdint>
#include <limits>

#include "core/memory.h"
#include "core/view.h"
#include "ops/topk.h"

namespace fastcf {

struct ItemScoresQuery {
    CsrView histories;                     // (n_users, n_items), with values: x
    VectorView<const std::int32_t> users;  // (m,) rows of histories; -1: a user without a history
    MatrixView<const float> weights;       // (n_items, n_items): row j holds what item j of a history gives to others
    VectorView<const float> base;          // (n_items,) scores of users without a history, or empty: 0
    int n_threads = 0;                     // <= 0: the default of the process
};

// s(u, i) = sum over j in the history of u, in stored order, of x_uj weights_ji; base_i where the history is empty.
//
//   block          out (m, n_items), written completely
//   pairs          out[e] = s(users[e], items[e]); item -1: 0
//   best           as topk() of ops/topk.h, by the score and the selection's item_bias: the ids.cols best items of each
//                  user, ties by the smaller item row, never one that was seen, excluded, is no candidate or whose sum
//                  is NaN or -infinity; ends in id -1, score -infinity
//   numbers        float32: multiply-adds in the order of the history, from 0. The same bits by all three functions,
//                  for any other users, selection and number of threads.
//   cost           n_items multiply-adds per entry of a history, and never a score in memory but those of `block`. Many
//                  users are taken together, 64 columns of weights at a time, which are copied side by side: their rows
//                  then come from the second-level cache, and bound it. For few users rows are read as they lie: bound
//                  by memory, 4 n_items bytes per entry.
//
// Throw std::invalid_argument for shapes that disagree and indices out of range.
void item_scores_block(const ItemScoresQuery& query, MatrixView<float> out);
void item_scores_pairs(const ItemScoresQuery& query, VectorView<const std::int32_t> items, VectorView<float> out);
void item_scores_best(const ItemScoresQuery& query, TopkQuery selection, MatrixView<std::int32_t> ids,
                      MatrixView<float> scores);

// Users whose histories are given, and the scores of those without one.
inline void check_scored_users(VectorView<const std::int32_t> users, std::int64_t n_histories,
                               VectorView<const float> base, std::int64_t n_items, const char* caller) {
    check(base.empty() || base.size == n_items, caller, ": base must have one entry per item (", n_items, "); got ",
          base.size);
    for (std::int64_t u = 0; u < users.size; ++u)
        check(users[u] >= -1 && users[u] < n_histories, caller, ": users must lie in [-1, ", n_histories, "); got ",
              users[u], " at entry ", u);
}

// Items of pairs.
inline void check_scored_pairs(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                               std::int64_t n_items, const VectorView<float>& out, const char* caller) {
    check(items.size == users.size && out.size == items.size, caller, ": items must have one entry per user (",
          users.size, "); got ", items.size);
    for (std::int64_t e = 0; e < items.size; ++e)
        check(items[e] >= -1 && items[e] < n_items, caller, ": items must lie in [-1, ", n_items, "); got ", items[e],
              " at entry ", e);
}

// What these functions on every device ask of their arguments. Histories and users are in the host's memory.
inline void check_item_scores(const ItemScoresQuery& query, const char* caller) {
    const std::int64_t n_items = query.weights.rows;
    check(n_items <= std::numeric_limits<std::int32_t>::max(), caller, ": weights must have fewer than 2^31 rows; got ",
          n_items);
    check(query.weights.cols == n_items && query.histories.cols == n_items, caller,
          ": weights must be square, with a row per column of the histories (", query.histories.cols, "); got (",
          n_items, ", ", query.weights.cols, ")");
    check_scored_users(query.users, query.histories.rows, query.base, n_items, caller);
}

}  // namespace fastcf
