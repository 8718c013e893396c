// The vector part of activations: some rows of a matrix.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "math/activation.h"

namespace fastcf {

struct ActivationRows {
    std::int64_t rows, cols, stride;
};

template <class T>
struct ActivationRowKernels {
    // x <- g(x + bias); bias may be null.
    void (*forward)(Activation kind, const T* bias, ActivationRows rows, T* x);
    // gradient <- gradient g' at the values y, whose rows are y_stride apart.
    void (*backward)(Activation kind, const T* y, std::int64_t y_stride, ActivationRows rows, T* gradient);
};

struct ActivationKernels {
    ActivationRowKernels<float> of_float;
    ActivationRowKernels<double> of_double;
};

FASTCF_KERNEL_TABLES(ActivationKernels, activation_kernels)

}  // namespace fastcf
