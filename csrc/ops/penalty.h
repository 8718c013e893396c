// The L2 penalty of rows of parameters.
#pragma once

#include "core/check.h"
#include "core/view.h"

namespace fastcf {

// sum_r weights_r |rows_r|^2 in float64; weights (rows,), or empty: all are 1. Sums of chunks of rows are added in
// order: the same bits for any number of threads. Bound by reading the rows once. Throws std::invalid_argument where
// lengths disagree. For float and double.
template <class T>
double penalty(MatrixView<const T> rows, VectorView<const T> weights, int n_threads);

template <class T>
void check_penalty(const MatrixView<const T>& rows, const VectorView<const T>& weights) {
    check(weights.data == nullptr || weights.size == rows.rows, "penalty: weights must have one entry per row (",
          rows.rows, "); got ", weights.size);
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_PENALTY(T) template double penalty<T>(MatrixView<const T>, VectorView<const T>, int);

}  // namespace fastcf
