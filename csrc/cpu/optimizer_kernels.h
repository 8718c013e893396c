// Optimiser steps on runs of consecutive parameters.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "math/optimizer.h"

namespace fastcf {

template <class T>
struct OptimizerRunKernels {
    void (*step)(OptimizerKind kind, const OptimizerStep<T>& step, std::int64_t n, T* parameters, const T* gradient,
                 T* first, T* second);
    // Steps without a gradient; `first` may be null.
    void (*coast)(const Coast<T>& how, std::int64_t n, T* parameters, T* first);
};

struct OptimizerKernels {
    OptimizerRunKernels<float> of_float;
    OptimizerRunKernels<double> of_double;
};

FASTCF_KERNEL_TABLES(OptimizerKernels, optimizer_kernels)

}  // namespace fastcf
