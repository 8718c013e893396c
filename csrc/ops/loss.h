// The losses of predictions, and their gradient.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "math/loss.h"

namespace fastcf {

// gradient_e = scale w_e l'(z_e, y_e) and *sum += sum of w_e l(z_e, y_e), l being a loss of math/loss.h, z the
// predictions (for the logistic loss before the logistic function) and y the targets. `sum` lies where the device can
// write it: who sums up many batches reads it once. weights may be empty: all 1. gradient may be the predictions
// themselves. Defined for float and double; the sum is float64, in an order fixed by the number of predictions. Bound
// by memory: 3 or 4 numbers per prediction. Throws std::invalid_argument for lengths that disagree.
template <class T>
void loss_gradient(Loss loss, VectorView<const T> predicted, VectorView<const T> target, VectorView<const T> weights,
                   double scale, VectorView<T> gradient, double* sum, int n_threads);

template <class T>
void check_loss_gradient(const VectorView<const T>& predicted, const VectorView<const T>& target,
                         const VectorView<const T>& weights, const VectorView<T>& gradient) {
    check(target.size == predicted.size && gradient.size == predicted.size,
          "loss_gradient: target and gradient must have ", predicted.size, " entries; got ", target.size, " and ",
          gradient.size);
    check(weights.empty() || weights.size == predicted.size, "loss_gradient: weights must have ", predicted.size,
          " entries; got ", weights.size);
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_LOSS(T)                                                                              \
    template void loss_gradient<T>(Loss, VectorView<const T>, VectorView<const T>, VectorView<const T>, double, \
                                   VectorView<T>, double*, int);

}  // namespace fastcf
