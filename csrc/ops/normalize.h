// Rows brought to one length.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf {

// y_r = length x_r / |x_r|; a row of zeros, which has no direction, stays zero. y may be x, or must not overlap it.
// Defined for float and double; norms are float64, in an order fixed by the number of columns: the same bits for any
// number of threads. Bound by memory: a row is read, from cache the second time, and written. Throw
// std::invalid_argument for shapes that disagree.
template <class T>
void normalize(MatrixView<const T> x, double length, MatrixView<T> y, int n_threads);

// From dJ/dy to dJ/dx, in place, given x: gradient <- length / |x| (gradient - x <x, gradient> / |x|^2), which is
// orthogonal to x. A row of zeros gets zeros.
template <class T>
void normalize_gradient(MatrixView<const T> x, double length, MatrixView<T> gradient, int n_threads);

template <class T>
void check_normalize(const MatrixView<const T>& x, const MatrixView<T>& y, const char* caller) {
    check(y.rows == x.rows && y.cols == x.cols, caller, ": the result must be (", x.rows, ", ", x.cols, "); got (",
          y.rows, ", ", y.cols, ")");
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_NORMALIZE(T)                                          \
    template void normalize<T>(MatrixView<const T>, double, MatrixView<T>, int); \
    template void normalize_gradient<T>(MatrixView<const T>, double, MatrixView<T>, int);

}  // namespace fastcf
