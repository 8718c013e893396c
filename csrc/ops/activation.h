// What a network layer does to its products, in place: bias and activation, their gradients, and dropout.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "math/activation.h"

namespace fastcf {

// All are defined for float and double, work element by element or in sums of a fixed order, and give the same bits for
// any number of threads. They are bound by reading and writing the matrix once. Throw std::invalid_argument for shapes
// that disagree.

// x <- g(x + bias), a bias per column; bias may be empty.
template <class T>
void activate(Activation kind, MatrixView<T> x, VectorView<const T> bias, int n_threads);

// From dJ/dy to dJ/dx, for y = g(x + bias): gradient <- gradient g'(x + bias). bias_gradient, one per column, becomes
// the sum of that over rows; it may be empty.
template <class T>
void activation_gradient(Activation kind, MatrixView<const T> y, MatrixView<T> gradient, VectorView<T> bias_gradient,
                         int n_threads);

struct Dropout {
    double rate = 0;  // share of elements dropped, in [0, 1)
    bool alpha =
        false;  // keep mean and variance of SELU's values (Klambauer et al. 2017, section 3) instead of the mean
    std::uint64_t key = 0;  // element (r, c) goes by word r * cols + c of this stream (core/mix64.h)
};

// x <- x / (1 - rate) where kept, else 0 (Srivastava et al., JMLR 15, 2014). alpha: a x + b where kept, else a d + b
// with SELU's lower limit d; a and b keep mean 0 and variance 1.
template <class T>
void dropout(const Dropout& how, MatrixView<T> x, int n_threads);

// From the gradient of what came out to that of what went in.
template <class T>
void dropout_gradient(const Dropout& how, MatrixView<T> gradient, int n_threads);

template <class T>
void check_activate(const MatrixView<T>& x, const VectorView<const T>& bias) {
    check(bias.empty() || bias.size == x.cols, "activate: bias must have one entry per column (", x.cols, "); got ",
          bias.size);
}

template <class T>
void check_activation_gradient(const MatrixView<const T>& y, const MatrixView<T>& gradient,
                               const VectorView<T>& bias_gradient) {
    check(y.rows == gradient.rows && y.cols == gradient.cols,
          "activation_gradient: y and gradient must have the same shape; got (", y.rows, ", ", y.cols, ") and (",
          gradient.rows, ", ", gradient.cols, ")");
    check(bias_gradient.empty() || bias_gradient.size == y.cols,
          "activation_gradient: bias_gradient must have one entry per column (", y.cols, "); got ", bias_gradient.size);
}

inline void check_dropout(const Dropout& how) {
    check(how.rate >= 0 && how.rate < 1, "dropout: rate must lie in [0, 1); got ", how.rate);
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_ACTIVATION(T)                                                                      \
    template void activate<T>(Activation, MatrixView<T>, VectorView<const T>, int);                           \
    template void activation_gradient<T>(Activation, MatrixView<const T>, MatrixView<T>, VectorView<T>, int); \
    template void dropout<T>(const Dropout&, MatrixView<T>, int);                                             \
    template void dropout_gradient<T>(const Dropout&, MatrixView<T>, int);

}  // namespace fastcf
