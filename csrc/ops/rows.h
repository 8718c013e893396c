// Some rows of a matrix, side by side.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf {

// to[r] = weights[r] from[rows[r]]; weights (to.rows,), or empty: 1. `to` may not overlap `from`. Bound by memory: rows
// are read and written once. Defined for float and double. Throws std::invalid_argument where shapes disagree or, for
// rows on the host, where they lie out of range.
template <class T>
void gather_rows(MatrixView<const T> from, VectorView<const std::int32_t> rows, VectorView<const T> weights,
                 MatrixView<T> to, int n_threads);

template <class T>
void check_gather(const MatrixView<const T>& from, const VectorView<const std::int32_t>& rows,
                  const VectorView<const T>& weights, const MatrixView<T>& to) {
    check(to.rows == rows.size && to.cols == from.cols, "gather_rows: the output must be (", rows.size, ", ", from.cols,
          "); got (", to.rows, ", ", to.cols, ")");
    check(weights.empty() || weights.size == rows.size, "gather_rows: weights must have one entry per row (", rows.size,
          "); got ", weights.size);
}
inline void check_gathered(const VectorView<const std::int32_t>& rows, std::int64_t begin, std::int64_t end,
                           std::int64_t limit) {
    bool valid = true;  // without a branch first: vector code for the usual case
    for (std::int64_t r = begin; r < end; ++r) valid &= rows[r] >= 0 && rows[r] < limit;
    for (std::int64_t r = begin; !valid && r < end; ++r)
        check(rows[r] >= 0 && rows[r] < limit, "gather_rows: rows must lie in [0, ", limit, "); got ", rows[r],
              " at entry ", r);
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_ROWS(T)                                                                         \
    template void gather_rows<T>(MatrixView<const T>, VectorView<const std::int32_t>, VectorView<const T>, \
                                 MatrixView<T>, int);

}  // namespace fastcf
