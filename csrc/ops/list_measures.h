// Measures of lists against what is relevant to their users. No device has its own version: lists are measured where
// they are, and the work is looking items up.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf {

struct ListQuery {
    VectorView<const std::int32_t> users;    // (m,) rows of the relevant items, each with one at least
    MatrixView<const std::int32_t> items;    // (m, n) best first; -1: an irrelevant item, or none
    VectorView<const std::int64_t> indptr;   // (n_users + 1,) the relevant items, compressed rows
    VectorView<const std::int32_t> indices;  // ascending within each user
    VectorView<const float> gains;           // one per relevant item; finite
    VectorView<const std::int64_t> lengths;  // how many places are measured: one or more numbers from 1 to n
    int n_threads = 0;                       // <= 0: the default of the process
};

// out(8 l + i, u): of user u, for the l-th length, the i-th field of ListMeasures (math/list_measures.h), in float64.
// Returns the first row of `items` that holds an item twice, whose measures mean nothing; -1 where none does.
//
//   deterministic yes, for any number of threads
//   cost          per user O((n + r) + r log n + n * lengths), with r relevant items: bound by n + r look-ups in a hash
//                 table of 32 to 64 bytes for each
//
// Throws std::invalid_argument for shapes that disagree, users without relevant items, lengths out of range and
// relevant items out of order.
std::int64_t list_measures(const ListQuery& query, MatrixView<double> out);

}  // namespace fastcf
