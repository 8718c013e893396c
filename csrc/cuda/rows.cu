#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/rows.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// 8 bytes per element, 8 per row: bound by memory, on an H200 at most 600 G elements/s where rows are long. 256
// threads, one to a run of N neighbouring elements: 16 bytes of them, or one. Deterministic.
template <int N, class T>
FASTCF_KERNEL(kThreads)
void gather_kernel(Global<const T> from, std::int64_t from_stride, std::int64_t runs, Global<const std::int32_t> rows,
                   Global<const T> weights, std::int64_t n, Global<T> to, std::int64_t to_stride) {
    const std::int64_t e = global_thread();
    if (e >= n) return;
    const std::int64_t r = e / runs, f = e % runs * N, row = rows[r];
    const T weight = weights == nullptr ? T(1) : weights[r];
    if constexpr (N == 1) {
        to[r * to_stride + f] = weight * from[row * from_stride + f];
    } else {
        T values[N];
        load_chunk(from + (row * from_stride + f), values);
        for (T& value : values) value *= weight;
        store_chunk(to + (r * to_stride + f), values);
    }
}

}  // namespace

template <class T>
void gather_rows(MatrixView<const T> from, VectorView<const std::int32_t> rows, VectorView<const T> weights,
                 MatrixView<T> to, int) {
    check_gather(from, rows, weights, to);
    if (!device_only(rows.data)) check_gathered(rows, 0, rows.size, from.rows);
    const In<T> staged_from(from), staged_weights(weights);
    const In<std::int32_t> staged_rows(rows);
    const Out<T> staged_to(to.data, extent(to.rows, to.cols, to.stride));
    constexpr int kSize = kChunk<T>;
    const bool by_chunk =
        in_chunks(staged_from.data(), from.cols, from.stride) && in_chunks(staged_to.data(), to.cols, to.stride);
    const std::int64_t runs = by_chunk ? from.cols / kSize : from.cols, n = rows.size * runs;
    const auto launch = [&](auto kernel) {
        FASTCF_LAUNCH(kernel, blocks_for(n, kThreads), kThreads, 0, staged_from.data(), from.stride, runs,
                      staged_rows.data(), staged_weights.data(), n, staged_to.data(), to.stride);
    };
    if (by_chunk)
        launch(gather_kernel<kSize, T>);
    else
        launch(gather_kernel<1, T>);
    staged_to.finish();
}

FASTCF_INSTANTIATE_ROWS(float)
FASTCF_INSTANTIATE_ROWS(double)

}  // namespace fastcf
