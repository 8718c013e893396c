// The vector part of activations: whole stretches of a row.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "math/activation.h"

namespace fastcf {

template <class T>
struct ActivationRowKernels {
    // x[j] = g(x[j] + bias[j]); bias may be null.
    void (*forward)(Activation kind, const T* bias, std::int64_t n, T* x);
    // gradient[j] *= g' at the value y[j].
    void (*backward)(Activation kind, const T* y, std::int64_t n, T* gradient);
};

struct ActivationKernels {
    ActivationRowKernels<float> of_float;
    ActivationRowKernels<double> of_double;
};

FASTCF_KERNEL_TABLES(ActivationKernels, activation_kernels)

}  // namespace fastcf
