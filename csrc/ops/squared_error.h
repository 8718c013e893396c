// The squared errors of predictions, and their gradient.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf {

// gradient_e = 2 scale w_e (predicted_e - target_e) and *sum += sum of w_e (predicted_e - target_e)^2, where `sum` lies
// where the device can write it: who sums up many batches reads it once. weights may be empty: all 1. Defined for float
// and double; the sum is float64, in an order fixed by the number of errors. Bound by memory: 3 or 4 numbers per error.
// Throws std::invalid_argument for lengths that disagree.
template <class T>
void squared_error(VectorView<const T> predicted, VectorView<const T> target, VectorView<const T> weights, double scale,
                   VectorView<T> gradient, double* sum, int n_threads);

template <class T>
void check_squared_error(const VectorView<const T>& predicted, const VectorView<const T>& target,
                         const VectorView<const T>& weights, const VectorView<T>& gradient) {
    check(target.size == predicted.size && gradient.size == predicted.size,
          "squared_error: target and gradient must have ", predicted.size, " entries; got ", target.size, " and ",
          gradient.size);
    check(weights.empty() || weights.size == predicted.size, "squared_error: weights must have ", predicted.size,
          " entries; got ", weights.size);
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_SQUARED_ERROR(T)                                                               \
    template void squared_error<T>(VectorView<const T>, VectorView<const T>, VectorView<const T>, double, \
                                   VectorView<T>, double*, int);

}  // namespace fastcf
