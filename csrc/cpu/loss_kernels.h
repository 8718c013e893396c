// Losses of consecutive predictions.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "math/loss.h"

namespace fastcf {

template <class T>
struct LossRunKernels {
    // gradient[e] = scale * weights[e] * slope; returns the weighted losses' sum. weights may be null, gradient may be
    // the predictions.
    double (*run)(Loss loss, const T* predicted, const T* target, const T* weights, T scale, std::int64_t n,
                  T* gradient);
};

struct LossKernels {
    LossRunKernels<float> of_float;
    LossRunKernels<double> of_double;
};

FASTCF_KERNEL_TABLES(LossKernels, loss_kernels)

}  // namespace fastcf
