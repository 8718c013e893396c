// The passes over a row of scores that a softmax takes.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

template <class T>
struct SoftmaxRowKernels {
    // scores += bias, which may be null; returns the greatest. n >= 1.
    T (*shift)(const T* bias, std::int64_t n, T* scores);
    // scores = e^(scores - most); returns the sum.
    double (*exponentials)(T most, std::int64_t n, T* scores);
    void (*multiply)(T factor, std::int64_t n, T* scores);
};

struct SoftmaxKernels {
    SoftmaxRowKernels<float> of_float;
    SoftmaxRowKernels<double> of_double;
};

FASTCF_KERNEL_TABLES(SoftmaxKernels, softmax_kernels)

}  // namespace fastcf
