// Scores by sparse weights: the sum, over the entries of a user's history, of what each gives to the few items that it
// has weights for. Entries are items or, of models of neighbours, users.
#pragma once

#include <cstdint>
#include <limits>

#include "core/view.h"
#include "ops/item_scores.h"
#include "ops/topk.h"

namespace fastcf {

struct SparseItemScoresQuery {
    CsrView histories;                     // (n_users, inner), with values: x
    VectorView<const std::int32_t> users;  // (m,) rows of histories; -1: a user without a history
    CsrView weights;                       // (inner, n_items), with values, columns ascending within a row: row j
                                           // holds what entry j of a history gives to items
    VectorView<const float> base;          // (n_items,) scores of users without a history, or empty: 0
    int n_threads = 0;                     // <= 0: the default of the process
};

// s(u, i) = sum over j in the history of u, in stored order, of x_uj weights_ji; base_i where the history is empty.
//
//   block          out (m, n_items), written completely
//   pairs          out[e] = s(users[e], items[e]); item -1: 0
//   best           as topk(), whose seen items, candidates and excluded items `selection` has: the ids.cols best items
//                  of each user, by the score and the selection's item_bias
//   numbers        float32: multiply-adds in the order of the history, from 0; the same bits by all three functions,
//                  for any other users, selection and number of threads
//   cost           per user one addition in a random place of n_items floats for each weight of each entry of the
//                  history, and, for `block` and `best`, a pass over those n_items floats. Pairs of a user with few
//                  items are looked up in the rows: the logarithm of a row's length per entry of the history.
//                  Scratch: n_items floats per thread.
//   checks         rows of histories and weights are looked at when they are first used, so that a query of few users
//                  does not take the time of reading all.
//
// Throw std::invalid_argument for shapes that disagree, indices out of range, and weights that do not ascend.
void sparse_item_scores_block(const SparseItemScoresQuery& query, MatrixView<float> out);
void sparse_item_scores_pairs(const SparseItemScoresQuery& query, VectorView<const std::int32_t> items,
                              VectorView<float> out);
void sparse_item_scores_best(const SparseItemScoresQuery& query, TopkQuery selection, MatrixView<std::int32_t> ids,
                             MatrixView<float> scores);

// What these functions on every device ask of their arguments, but for the rows.
inline void check_sparse_item_scores(const SparseItemScoresQuery& query, const char* caller) {
    const std::int64_t n_items = query.weights.cols, most = std::numeric_limits<std::int32_t>::max();
    check(n_items >= 0 && n_items <= most && query.weights.rows <= most, caller,
          ": weights must have fewer than 2^31 rows and columns; got ", query.weights.rows, " and ", n_items);
    check(query.weights.rows == query.histories.cols, caller, ": weights must have a row per column of the histories (",
          query.histories.cols, "); got ", query.weights.rows);
    check_scored_users(query.users, query.histories.rows, query.base, n_items, caller);
}

// One row of compressed rows whose arrays hold `entries` entries: its place among them, and its columns.
inline void check_row(const CsrView& csr, std::int64_t row, bool ascending, const char* caller, const char* name) {
    const std::int64_t begin = csr.indptr[row], end = csr.indptr[row + 1];
    check(begin >= 0 && begin <= end && end <= csr.entries, caller, ": the offsets of ", name,
          " must not decrease, and must lie in [0, ", csr.entries, "]; got ", begin, " and ", end, " at row ", row);
    for (std::int64_t e = begin; e < end; ++e) {
        check(csr.indices[e] >= 0 && csr.indices[e] < csr.cols, caller, ": columns of ", name, " must lie in [0, ",
              csr.cols, "); got ", csr.indices[e], " at entry ", e);
        check(!ascending || e == begin || csr.indices[e - 1] < csr.indices[e], caller, ": columns of ", name,
              " must ascend within a row; they do not at entry ", e);
    }
}

}  // namespace fastcf
