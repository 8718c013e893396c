#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/penalty.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kElementsPerBlock = 8192;

// 4 bytes per element and 4 per row, 3 flops per element, in float64: bound by reading, on an H200 at most 1.2 T
// elements/s. 256 threads, 256 bytes of shared memory. Deterministic.
FASTCF_KERNEL(kThreads)
void penalty_kernel(Global<const float> rows, std::int64_t n, std::int64_t cols, std::int64_t stride,
                    Global<const float> weights, Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    const std::int64_t begin = blockIdx.x * kElementsPerBlock;
    double sum = 0.0;
    for (std::int64_t e = begin + threadIdx.x; e < begin + kElementsPerBlock && e < n; e += kThreads) {
        const std::int64_t r = e / cols;
        const double value = static_cast<double>(rows[r * stride + e % cols]);
        sum += static_cast<double>(weights[r]) * value * value;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

}  // namespace

double penalty(MatrixView<const float> rows, VectorView<const float> weights, int) {
    check_penalty(rows, weights);
    const std::int64_t n = rows.rows * rows.cols, blocks = blocks_for(n, kElementsPerBlock);
    const In<float> staged_rows(rows), staged_weights(weights);
    DeviceArray<double> sums(blocks);
    FASTCF_LAUNCH(penalty_kernel, blocks, kThreads, 0, staged_rows.data(), n, rows.cols, rows.stride,
                  staged_weights.data(), sums.data());
    double total = 0.0;
    for (const double sum : sums.to_host()) total += sum;
    return total;
}

}  // namespace fastcf
