#include <algorithm>
#include <vector>

#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/factor_gram.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 64;             // columns on a side of a block's tile
constexpr int kDepth = 16;            // rows at a time
constexpr int kSide = 16;             // threads on a side of a block
constexpr std::int64_t kSlices = 64;  // of rows, at most; each has sums of its own

// One block per slice of rows and tile of 64 x 64 products of the upper triangle: k^2 / 2 multiply-adds and, from
// cache, k^2 / 16 bytes per row; k^2 float64 additions for every kGramRows rows. Bound by the multipliers. 256 threads,
// 4 x 4 products each, 8.5 KB of shared memory. Deterministic.
FASTCF_KERNEL(kThreads)
void gram_kernel(Global<const float> rows, std::int64_t n, int k, std::int64_t stride, std::int64_t slice, int side,
                 Global<double> sums) {
    constexpr int kPitch = kTile + 1;
    FASTCF_SHARED(float, p, kDepth* kPitch);
    FASTCF_SHARED(float, q, kDepth* kPitch);
    const int t = static_cast<int>(threadIdx.x), own_row = t / kSide, own_column = t % kSide;
    const int left = static_cast<int>(blockIdx.x) / side * kTile, right = static_cast<int>(blockIdx.x) % side * kTile;
    const std::int64_t begin = blockIdx.y * slice, end = begin + slice < n ? begin + slice : n;
    double totals[4][4] = {};
    for (std::int64_t chunk = begin; right >= left && chunk < end; chunk += kGramRows) {
        const std::int64_t chunk_end = chunk + kGramRows < end ? chunk + kGramRows : end;
        float products[4][4] = {};
        for (std::int64_t first = chunk; first < chunk_end; first += kDepth) {
            for (int u = t; u < kDepth * kTile; u += kThreads) {
                const int r = u / kTile, c = u % kTile;
                float a = 0.0f, b = 0.0f;
                if (first + r < chunk_end && left + c < k) a = rows[(first + r) * stride + left + c];
                if (first + r < chunk_end && right + c < k) b = rows[(first + r) * stride + right + c];
                p[r * kPitch + c] = a;
                q[r * kPitch + c] = b;
            }
            block_sync();
            for (int r = 0; r < kDepth; ++r) {
                float a[4], b[4];
                for (int i = 0; i < 4; ++i) a[i] = p[r * kPitch + own_row + i * kSide];
                for (int i = 0; i < 4; ++i) b[i] = q[r * kPitch + own_column + i * kSide];
                for (int i = 0; i < 4; ++i)
                    for (int j = 0; j < 4; ++j) products[i][j] += a[i] * b[j];
            }
            block_sync();
        }
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) totals[i][j] += static_cast<double>(products[i][j]);
    }
    for (int i = 0; right >= left && i < 4; ++i) {
        const int r = left + own_row + i * kSide;
        for (int j = 0; j < 4; ++j) {
            const int c = right + own_column + j * kSide;
            if (r <= c && c < k) sums[(blockIdx.y * std::int64_t{k} + r) * k + c] = totals[i][j];
        }
    }
}

// Adds the slices in order, a thread per product; 8 bytes per slice and product. Deterministic.
FASTCF_KERNEL(kThreads)
void join_kernel(Global<const double> sums, int k, int slices, Global<double> gram) {
    const std::int64_t at = global_thread();
    if (at >= std::int64_t{k} * k) return;
    const std::int64_t i = at / k, j = at % k, upper = i <= j ? at : j * k + i;
    double total = 0.0;
    for (int s = 0; s < slices; ++s) total += sums[std::int64_t{s} * k * k + upper];
    gram[at] = total;
}

}  // namespace

void factor_gram(MatrixView<const float> rows, MatrixView<double> gram, int) {
    check_factor_gram(rows, gram);
    const In<float> staged(rows);
    const std::int64_t n = rows.rows, k = rows.cols, chunks = std::max<std::int64_t>(blocks_for(n, kGramRows), 1);
    const std::int64_t slice = blocks_for(chunks, kSlices) * kGramRows, slices = blocks_for(chunks * kGramRows, slice);
    const std::int64_t side = blocks_for(k, kTile);
    DeviceArray<double> sums(slices * k * k), total(k * k);
    FASTCF_LAUNCH(gram_kernel, Grid(side * side, slices), kThreads, 0, staged.data(), n, static_cast<int>(k),
                  rows.stride, slice, static_cast<int>(side), sums.data());
    FASTCF_LAUNCH(join_kernel, blocks_for(k * k, kThreads), kThreads, 0, sums.data(), static_cast<int>(k),
                  static_cast<int>(slices), total.data());
    const std::vector<double> host = total.to_host();
    for (std::int64_t i = 0; i < k; ++i) std::copy_n(host.data() + i * k, k, gram.row(i));
}

}  // namespace fastcf
