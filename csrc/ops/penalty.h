// The L2 penalty of rows of parameters.
#pragma once

#include "core/check.h"
#include "core/view.h"

namespace fastcf {

// sum_r weights_r |rows_r|^2 in float64; weights (rows,). Sums of chunks of rows are added in order: the same bits for
// any number of threads. Bound by reading the rows once. Throws std::invalid_argument where lengths disagree.
double penalty(MatrixView<const float> rows, VectorView<const float> weights, int n_threads);

inline void check_penalty(const MatrixView<const float>& rows, const VectorView<const float>& weights) {
    check(weights.size == rows.rows, "penalty: weights must have one entry per row (", rows.rows, "); got ",
          weights.size);
}

}  // namespace fastcf
