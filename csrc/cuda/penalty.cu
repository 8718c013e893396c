#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/penalty.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kElementsPerBlock = 8192;

// 4 bytes per float32 element and 4 per row, 3 flops per element, in float64: bound by reading, on an H200 at most 1.2
// T elements/s (4.8 TB/s / 4 B). 256 threads, 256 bytes of shared memory. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void penalty_kernel(Global<const T> rows, std::int64_t n, std::int64_t cols, std::int64_t stride,
                    Global<const T> weights, Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    const std::int64_t begin = blockIdx.x * kElementsPerBlock;
    double sum = 0.0;
    for (std::int64_t e = begin + threadIdx.x; e < begin + kElementsPerBlock && e < n; e += kThreads) {
        const std::int64_t r = e / cols;
        const double value = static_cast<double>(rows[r * stride + e % cols]);
        const double weight = weights == nullptr ? 1.0 : static_cast<double>(weights[r]);
        sum += weight * value * value;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

}  // namespace

template <class T>
double penalty(MatrixView<const T> rows, VectorView<const T> weights, int) {
    check_penalty(rows, weights);
    const std::int64_t n = rows.rows * rows.cols, blocks = blocks_for(n, kElementsPerBlock);
    const In<T> staged_rows(rows), staged_weights(weights);
    DeviceArray<double> sums(blocks);
    FASTCF_LAUNCH(penalty_kernel<T>, blocks, kThreads, 0, staged_rows.data(), n, rows.cols, rows.stride,
                  staged_weights.data(), sums.data());
    double total = 0.0;
    for (const double sum : sums.to_host()) total += sum;
    return total;
}

FASTCF_INSTANTIATE_PENALTY(float)
FASTCF_INSTANTIATE_PENALTY(double)

}  // namespace fastcf
