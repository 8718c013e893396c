#include "cpu/activation_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

template <Activation A, class T>
FASTCF_INLINE void forward_row(const T* __restrict bias, int64_t n, T* __restrict x) {
    if (bias == nullptr) {
        for (int64_t j = 0; j < n; ++j) x[j] = activation<A>(x[j]);
        return;
    }
    for (int64_t j = 0; j < n; ++j) x[j] = activation<A>(x[j] + bias[j]);
}

template <Activation A, class T>
FASTCF_INLINE void backward_row(const T* __restrict y, int64_t n, T* __restrict gradient) {
    for (int64_t j = 0; j < n; ++j) gradient[j] *= activation_slope<A>(y[j]);
}

template <class T>
void forward(Activation kind, const T* bias, int64_t n, T* x) {
    [[maybe_unused]] const FlushDenormals flush;
    with_activation(kind, [=]<Activation A>() { forward_row<A>(bias, n, x); });
}

template <class T>
void backward(Activation kind, const T* y, int64_t n, T* gradient) {
    [[maybe_unused]] const FlushDenormals flush;
    with_activation(kind, [=]<Activation A>() { backward_row<A>(y, n, gradient); });
}

}  // namespace

extern const ActivationKernels activation_kernels;
const ActivationKernels activation_kernels = {{forward<float>, backward<float>}, {forward<double>, backward<double>}};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
