#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/activation.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// 8 bytes per float32 element: bound by memory, on an H200 at most 600 G elements/s. 256 threads. Deterministic.
template <Activation A, class T>
FASTCF_KERNEL(kThreads)
void activate_kernel(Global<T> x, std::int64_t n, std::int64_t cols, std::int64_t stride, Global<const T> bias) {
    const std::int64_t e = global_thread();
    if (e >= n) return;
    const std::int64_t place = e / cols * stride + e % cols;
    T z = x[place];
    if (bias != nullptr) z += bias[e % cols];
    x[place] = activation<A>(z);
}

// 12 bytes per float32 element: bound by memory, on an H200 at most 400 G elements/s.
template <Activation A, class T>
FASTCF_KERNEL(kThreads)
void slope_kernel(Global<const T> y, std::int64_t y_stride, Global<T> gradient, std::int64_t stride, std::int64_t n,
                  std::int64_t cols) {
    const std::int64_t e = global_thread();
    if (e >= n) return;
    const T value = y[e / cols * y_stride + e % cols];
    gradient[e / cols * stride + e % cols] *= activation_slope<A>(value);
}

// 4 bytes per float32 element, a warp's worth of columns per block, its warps taking rows in turn: bound by memory for
// matrices of many columns, by latency for small ones. 256 threads, 1 KB of shared memory. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void column_sums_kernel(Global<const T> x, std::int64_t rows, std::int64_t cols, std::int64_t stride, Global<T> sums) {
    FASTCF_SHARED(T, parts, kThreads);
    const std::int64_t column = blockIdx.x * static_cast<std::int64_t>(kWarp) + lane_index();
    T sum = T(0);
    if (column < cols)
        for (std::int64_t r = warp_index(); r < rows; r += kThreads / kWarp) sum += x[r * stride + column];
    parts[threadIdx.x] = sum;
    block_sync();
    if (warp_index() == 0 && column < cols) {
        T total = T(0);
        for (int w = 0; w < kThreads / kWarp; ++w) {
            const T part = parts[w * kWarp + lane_index()];
            total += part;
        }
        sums[column] = total;
    }
}

// 8 bytes per float32 element and some 20 integer operations: bound by memory. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void dropout_kernel(Global<T> x, std::int64_t n, std::int64_t cols, std::int64_t stride, double rate, std::uint64_t key,
                    T scale, T shift, T dropped) {
    const std::int64_t e = global_thread();
    if (e >= n) return;
    const std::int64_t place = e / cols * stride + e % cols;
    const T value = x[place];
    x[place] = dropout_keeps(rate, key, static_cast<std::uint64_t>(e)) ? scale * value + shift : dropped;
}

template <class T>
void drop(const Dropout& how, const MatrixView<T>& x, T scale, T shift, T dropped) {
    check_dropout(how);
    if (how.rate == 0) return;
    const std::int64_t n = x.rows * x.cols;
    const InOut<T> values(x);
    FASTCF_LAUNCH(dropout_kernel<T>, blocks_for(n, kThreads), kThreads, 0, values.data(), n, x.cols, x.stride, how.rate,
                  how.key, scale, shift, dropped);
    values.finish();
}

}  // namespace

template <class T>
void activate(Activation kind, MatrixView<T> x, VectorView<const T> bias, int) {
    check_activate(x, bias);
    const std::int64_t n = x.rows * x.cols;
    const InOut<T> values(x);
    const In<T> biases(bias);
    with_activation(kind, [&](auto of) {
        constexpr Activation A = decltype(of)::value;
        FASTCF_LAUNCH((activate_kernel<A, T>), blocks_for(n, kThreads), kThreads, 0, values.data(), n, x.cols, x.stride,
                      biases.data());
    });
    values.finish();
}

template <class T>
void activation_gradient(Activation kind, MatrixView<const T> y, MatrixView<T> gradient, VectorView<T> bias_gradient,
                         int) {
    check_activation_gradient(y, gradient, bias_gradient);
    const std::int64_t n = y.rows * y.cols;
    const In<T> values(y);
    const InOut<T> slopes(gradient);
    with_activation(kind, [&](auto of) {
        constexpr Activation A = decltype(of)::value;
        FASTCF_LAUNCH((slope_kernel<A, T>), blocks_for(n, kThreads), kThreads, 0, values.data(), y.stride,
                      slopes.data(), gradient.stride, n, y.cols);
    });
    const Out<T> sums(bias_gradient);
    if (!bias_gradient.empty())
        FASTCF_LAUNCH(column_sums_kernel<T>, blocks_for(y.cols, kWarp), kThreads, 0, slopes.data(), y.rows, y.cols,
                      gradient.stride, sums.data());
    slopes.finish();
    sums.finish();
}

template <class T>
void dropout(const Dropout& how, MatrixView<T> x, int) {
    const DropoutScale<double> s = dropout_scale(how.rate, how.alpha);
    drop(how, x, static_cast<T>(s.scale), static_cast<T>(s.shift), static_cast<T>(s.dropped));
}

template <class T>
void dropout_gradient(const Dropout& how, MatrixView<T> gradient, int) {
    drop(how, gradient, static_cast<T>(dropout_scale(how.rate, how.alpha).scale), T(0), T(0));
}

FASTCF_INSTANTIATE_ACTIVATION(float)
FASTCF_INSTANTIATE_ACTIVATION(double)

}  // namespace fastcf
