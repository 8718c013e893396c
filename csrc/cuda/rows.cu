#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/rows.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// 8 bytes per element, 8 per row: bound by memory, on an H200 600 G elements/s where rows are long. 256 threads, one
// to a run of N neighbouring elements: four, or one. Deterministic.
template <int N>
FASTCF_KERNEL(kThreads)
void gather_kernel(Global<const float> from, std::int64_t from_stride, std::int64_t runs,
                   Global<const std::int32_t> rows, Global<const float> weights, std::int64_t n, Global<float> to,
                   std::int64_t to_stride) {
    const std::int64_t e = global_thread();
    if (e >= n) return;
    const std::int64_t r = e / runs, f = e % runs * N, row = rows[r];
    const float weight = weights == nullptr ? 1.0f : weights[r];
    if constexpr (N == 1) {
        to[r * to_stride + f] = weight * from[row * from_stride + f];
    } else {
        float values[N];
        load_chunk(from + (row * from_stride + f), values);
        for (float& value : values) value *= weight;
        store_chunk(to + (r * to_stride + f), values);
    }
}

}  // namespace

void gather_rows(MatrixView<const float> from, VectorView<const std::int32_t> rows, VectorView<const float> weights,
                 MatrixView<float> to, int) {
    check_gather(from, rows, weights, to);
    if (!device_only(rows.data)) check_gathered(rows, 0, rows.size, from.rows);
    const In<float> staged_from(from), staged_weights(weights);
    const In<std::int32_t> staged_rows(rows);
    const Out<float> staged_to(to.data, extent(to.rows, to.cols, to.stride));
    constexpr std::int64_t kSize = kChunk<float>;
    const bool by_chunk =
        in_chunks(staged_from.data(), from.cols, from.stride) && in_chunks(staged_to.data(), to.cols, to.stride);
    const std::int64_t runs = by_chunk ? from.cols / kSize : from.cols, n = rows.size * runs;
    const auto launch = [&](auto kernel) {
        FASTCF_LAUNCH(kernel, blocks_for(n, kThreads), kThreads, 0, staged_from.data(), from.stride, runs,
                      staged_rows.data(), staged_weights.data(), n, staged_to.data(), to.stride);
    };
    if (by_chunk)
        launch(gather_kernel<kSize>);
    else
        launch(gather_kernel<1>);
    staged_to.finish();
}

}  // namespace fastcf
