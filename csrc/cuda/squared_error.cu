#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/squared_error.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kPerBlock = 8192;

// 12 bytes per float32 error (16 with weights), 5 flops: bound by memory, on an H200 400 G errors/s. 256 threads, 256
// bytes of shared memory. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void squared_error_kernel(Global<const T> predicted, Global<const T> target, Global<const T> weights, std::int64_t n,
                          T twice_scale, Global<T> gradient, Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    const std::int64_t begin = blockIdx.x * kPerBlock;
    double sum = 0.0;
    for (std::int64_t e = begin + threadIdx.x; e < begin + kPerBlock && e < n; e += kThreads) {
        const T z = predicted[e], y = target[e];
        const T error = z - y;
        T weighted = error;
        if (weights != nullptr) weighted *= weights[e];
        gradient[e] = twice_scale * weighted;
        sum += static_cast<double>(weighted) * static_cast<double>(error);
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One thread works: there is a sum per 8,192 errors. Deterministic.
FASTCF_KERNEL(kWarp)
void add_sums_kernel(Global<const double> sums, std::int64_t n, Global<double> total) {
    if (threadIdx.x != 0) return;
    double sum = total[0];
    for (std::int64_t i = 0; i < n; ++i) {
        const double part = sums[i];
        sum += part;
    }
    total[0] = sum;
}

}  // namespace

template <class T>
void squared_error(VectorView<const T> predicted, VectorView<const T> target, VectorView<const T> weights, double scale,
                   VectorView<T> gradient, double* sum, int) {
    check_squared_error(predicted, target, weights, gradient);
    const std::int64_t n = predicted.size, blocks = blocks_for(n, kPerBlock);
    if (n == 0) return;
    const In<T> staged_predicted(predicted), staged_target(target), staged_weights(weights);
    const Out<T> staged_gradient(gradient);
    const InOut<double> total(sum, 1);
    DeviceArray<double> sums(blocks);
    FASTCF_LAUNCH(squared_error_kernel<T>, blocks, kThreads, 0, staged_predicted.data(), staged_target.data(),
                  staged_weights.data(), n, static_cast<T>(2 * scale), staged_gradient.data(), sums.data());
    FASTCF_LAUNCH(add_sums_kernel, 1, kWarp, 0, sums.data(), blocks, total.data());
    staged_gradient.finish();
    total.finish();
}

FASTCF_INSTANTIATE_SQUARED_ERROR(float)
FASTCF_INSTANTIATE_SQUARED_ERROR(double)

}  // namespace fastcf
