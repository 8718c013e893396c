// The Gram matrix of a table of factors.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "core/view.h"

namespace fastcf {

// gram (k, k) becomes sum_r q_r q_r^T, for rows (n, k). Products are summed in float32 over kGramRows rows and in
// float64 from there on, chunk after chunk in order: the same bits for any number of threads. n k^2 / 2 multiply-adds,
// 4 n k bytes read: bound by the multipliers. `gram` is memory of the host. Throws std::invalid_argument for shapes
// that disagree.
void factor_gram(MatrixView<const float> rows, MatrixView<double> gram, int n_threads);

inline constexpr std::int64_t kGramRows = 128;

inline void check_factor_gram(const MatrixView<const float>& rows, const MatrixView<double>& gram) {
    check(gram.rows == rows.cols && gram.cols == rows.cols, "factor_gram: gram must have shape (", rows.cols, ", ",
          rows.cols, "); got (", gram.rows, ", ", gram.cols, ")");
}

}  // namespace fastcf
