// The nearest rows by co-occurrence: the largest entries of each row of a sparse product, which is never stored.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/memory.h"
#include "core/view.h"

namespace fastcf {

// With left = Xᵀ (items by users) and right = X (users by items) the product is the co-occurrence of items, with the
// two exchanged that of users.
struct CooccurrenceQuery {
    CsrView left;                             // (rows, inner); values may be null: ones
    CsrView right;                            // (inner, n), n < 2^31, columns ascending within a row; values as of left
    VectorView<const float> weights;          // (inner,) or empty: ones
    VectorView<const float> row_scale;        // (rows,) or empty: ones
    VectorView<const float> column_scale;     // (n,) or empty: ones
    float shrinkage = 0.0f;                   // at least 0
    VectorView<const std::int32_t> left_out;  // (rows,) or empty: the column that a row does not get, -1 for none
    int n_threads = 0;                        // <= 0: the default of the process
};

// For each row i the ids.cols columns j of the largest similarities
//
//   s_ij = g_ij / (row_scale_i column_scale_j + shrinkage),    g_ij = sum over u of left_iu weight_u right_uj,
//
// in the order of math/order.h: the largest first, ties by the smaller column. Only pairs with s_ij > 0 count: never a
// column without a common entry, nor a NaN. Rows with too few end in id -1, similarity -infinity.
//
//   ids, similarities   (rows, m), m >= 0; written completely; must not overlap the inputs
//   numbers             float32: left_iu weight_u is rounded first, then multiply-adds in the order of left's entries.
//                       A pair's similarity depends on no other row or column, nor on m.
//   deterministic       yes, bit for bit, for any number of threads
//   cost                sum over the entries (i, u) of left of right's entries in row u: as many additions in random
//                       places of n floats, which bound it (a load and a store each: at most one a cycle and core), and
//                       for rows of more than n / 8 additions a scan of those n. Scratch: threads * (n + 2 m) words.
//                       A GPU has left and right in its memory and as many rows of n floats as stay in its cache.
//
// Throws std::invalid_argument for shapes that disagree, scales that are negative or not finite, columns to leave out
// that are out of range, and columns of right that do not ascend.
void cooccurrence(const CooccurrenceQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> similarities);

// What every device asks of the arguments, which are the host's. Indices are taken as valid.
inline void check_cooccurrence(const CooccurrenceQuery& query, const MatrixView<std::int32_t>& ids,
                               const MatrixView<float>& similarities) {
    constexpr const char* kCaller = "cooccurrence";
    const std::int64_t rows = query.left.rows, n = query.right.cols;
    check(n <= std::numeric_limits<std::int32_t>::max(), kCaller, ": there must be fewer than 2^31 columns; got ", n);
    check(query.left.cols == query.right.rows, kCaller, ": left must have as many columns as right has rows (",
          query.right.rows, "); got ", query.left.cols);
    check(ids.rows == rows && similarities.rows == rows && ids.cols == similarities.cols, kCaller,
          ": the outputs must have one row per row of left (", rows, ") and the same columns");
    check(std::isfinite(query.shrinkage) && query.shrinkage >= 0.0f, kCaller,
          ": shrinkage must be finite and at least 0; got ", query.shrinkage);
    const auto check_scale = [&](VectorView<const float> scale, std::int64_t size, const char* name) {
        check(scale.empty() || scale.size == size, kCaller, ": ", name, " must have ", size, " entries; got ",
              scale.size);
        for (std::int64_t e = 0; e < scale.size; ++e)
            check(std::isfinite(scale[e]) && scale[e] >= 0.0f, kCaller, ": ", name,
                  " must be finite and at least 0; got ", scale[e], " at entry ", e);
    };
    check_scale(query.row_scale, rows, "row_scale");
    check_scale(query.column_scale, n, "column_scale");
    check(query.weights.empty() || query.weights.size == query.right.rows, kCaller, ": weights must have ",
          query.right.rows, " entries; got ", query.weights.size);
    check(query.left_out.empty() || query.left_out.size == rows, kCaller, ": left_out must have ", rows,
          " entries; got ", query.left_out.size);
    for (std::int64_t e = 0; e < query.left_out.size; ++e)
        check(query.left_out[e] >= -1 && query.left_out[e] < n, kCaller, ": left_out must lie in [-1, ", n, "); got ",
              query.left_out[e], " at entry ", e);
    for (std::int64_t u = 0; u < query.right.rows; ++u)
        for (std::int64_t e = query.right.indptr[u] + 1; e < query.right.indptr[u + 1]; ++e)
            check(query.right.indices[e - 1] < query.right.indices[e], kCaller,
                  ": columns of right must ascend within a row; they do not in row ", u, ", at entry ", e);
}

}  // namespace fastcf
