// The softmax cost of one user's choices.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "math/loss.h"

namespace fastcf {

template <class T>
struct InBatchRowKernels {
    // Replaces a row of n scores by the gradient and returns the cost. `kept` has room for the row's choices.
    double (*row)(T* scores, const T* offsets, std::int64_t n, const std::int32_t* chosen, const T* weights,
                  std::int64_t n_chosen, T* kept);
};

struct InBatchSoftmaxKernels {
    InBatchRowKernels<float> of_float;
    InBatchRowKernels<double> of_double;
};

FASTCF_KERNEL_TABLES(InBatchSoftmaxKernels, in_batch_softmax_kernels)

}  // namespace fastcf
