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

// Narrow rows fill no vectors, so that those without gaps between them are one long row but for their biases. A
// training step of a 20-10-1 network on 16 rows takes 1.3 microseconds by it, 2.1 before.
constexpr int64_t kNarrow = 64;

template <class T>
void forward(Activation kind, const T* bias, ActivationRows rows, T* x) {
    [[maybe_unused]] const FlushDenormals flush;
    if (rows.cols < kNarrow && rows.cols == rows.stride) {
        if (bias != nullptr)
            for (int64_t r = 0; r < rows.rows; ++r)
                forward_row<Activation::identity>(bias, rows.cols, x + r * rows.stride);
        bias = nullptr;
        rows = {1, rows.rows * rows.cols, rows.rows * rows.cols};
    }
    with_activation(kind, [=](auto of) {
        constexpr Activation A = decltype(of)::value;
        for (int64_t r = 0; r < rows.rows; ++r) forward_row<A>(bias, rows.cols, x + r * rows.stride);
    });
}

template <class T>
void backward(Activation kind, const T* y, int64_t y_stride, ActivationRows rows, T* gradient) {
    [[maybe_unused]] const FlushDenormals flush;
    if (rows.cols == rows.stride && rows.cols == y_stride) rows = {1, rows.rows * rows.cols, rows.rows * rows.cols};
    with_activation(kind, [=](auto of) {
        constexpr Activation A = decltype(of)::value;
        for (int64_t r = 0; r < rows.rows; ++r)
            backward_row<A>(y + r * y_stride, rows.cols, gradient + r * rows.stride);
    });
}

}  // namespace

extern const ActivationKernels activation_kernels;
const ActivationKernels activation_kernels = {{forward<float>, backward<float>}, {forward<double>, backward<double>}};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
