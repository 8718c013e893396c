// Systems too large for shared memory: of many factors, or on cards with little of it.
#include <algorithm>

#include "cuda/als_system.h"

namespace fastcf::als {
namespace {

constexpr int kProductTile = 64;   // columns on a side of a block's tile
constexpr int kProductDepth = 16;  // ratings at a time
constexpr int kProductSide = 16;   // threads on a side of a block

struct LargeSystems {
    Global<float> memory;  // of each row: the system, then three vectors
    std::int64_t size, ld;
    std::int64_t first_row;
    FASTCF_DEVICE Global<float> system(std::int64_t i) const { return memory + i * (size * ld + 3 * size); }
};

// Element c of a rating's row of the system's factors: sqrt(w) (q, 1), zeros up to `size`, and sqrt(w) t.
FASTCF_DEVICE float system_factor(const Problem& problem, std::int64_t e, std::int64_t c, std::int64_t size,
                                  float offset) {
    const std::int32_t column = problem.columns[e];
    const float root = rating_root(problem, e);
    if (c == size) return root * rating_target(problem, e, column, offset);
    if (c >= problem.k) return c < problem.d ? root : 0.0f;
    const float q = column_row(problem, column)[c];
    return root * q;
}

// One block per row and tile of 64 x 64 products of the upper triangle, over the row's ratings: 2 k^2 flops and, from
// cache, k^2 / 8 bytes per rating. Bound by the multipliers. 256 threads, 4 x 4 products each, 8.5 KB of shared memory.
// Deterministic.
FASTCF_KERNEL(kThreads, 3)
void product_kernel(Problem problem, LargeSystems systems) {
    constexpr int kPitch = kProductTile + 1;
    FASTCF_SHARED(float, p, kProductDepth* kPitch);
    FASTCF_SHARED(float, q, kProductDepth* kPitch);
    const std::int64_t size = systems.size, ld = systems.ld, row = systems.first_row + blockIdx.y;
    const TilePlace tile =
        tile_place(static_cast<int>(blockIdx.x), static_cast<int>((ld + kProductTile - 1) / kProductTile));
    const std::int64_t rows = std::int64_t{tile.row} * kProductTile, columns = std::int64_t{tile.column} * kProductTile;
    const float offset = row_offset(problem, row);
    const int t = this_thread(), own_row = t / kProductSide, own_column = t % kProductSide;
    const std::int64_t end = problem.indptr[row + 1];
    float sums[4][4] = {};
    for (std::int64_t first = problem.indptr[row]; first < end; first += kProductDepth) {
        for (int u = t; u < kProductDepth * kProductTile; u += kThreads) {
            const int e = u / kProductTile, c = u % kProductTile;
            const bool inside = first + e < end;
            p[e * kPitch + c] = inside ? system_factor(problem, first + e, rows + c, size, offset) : 0.0f;
            q[e * kPitch + c] = inside ? system_factor(problem, first + e, columns + c, size, offset) : 0.0f;
        }
        block_sync();
        for (int e = 0; e < kProductDepth; ++e) {
            float a[4], b[4];
            for (int i = 0; i < 4; ++i) a[i] = p[e * kPitch + own_row + i * kProductSide];
            for (int i = 0; i < 4; ++i) b[i] = q[e * kPitch + own_column + i * kProductSide];
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) sums[i][j] += a[i] * b[j];
        }
        block_sync();
    }
    const Global<float> system = systems.system(blockIdx.y);
    for (int i = 0; i < 4; ++i) {
        const std::int64_t r = rows + own_row + i * kProductSide;
        for (int j = 0; j < 4; ++j) {
            const std::int64_t c = columns + own_column + j * kProductSide;
            if (r < size && c < ld) system[r * ld + c] = sums[i][j];
        }
    }
}

// One block of 512 threads per row, its system in global memory: d^3 / 3 flops, d^3 / 3 bytes through cache, which
// bound it. Deterministic.
FASTCF_KERNEL(kMostThreads, 1)
void large_kernel(Problem problem, Prior prior, LargeSystems systems) {
    const std::int64_t row = systems.first_row + blockIdx.x, begin = problem.indptr[row], size = systems.size;
    if (problem.indptr[row + 1] == begin && prior.matrix == nullptr) {
        clear_row(problem, row);
        return;
    }
    const Global<float> system = systems.system(blockIdx.x), vectors = system + size * systems.ld;
    const Workspace work{system, vectors, vectors + size, vectors + 2 * size, nullptr, nullptr, nullptr};
    solve<std::int64_t>(problem, prior, row, size, systems.ld, work);
}

}  // namespace

void solve_large(const Problem& problem, const Prior& prior, const Shape& shape, std::int64_t rows) {
    constexpr std::int64_t kMostRows = 65535;
    const std::int64_t size = shape.size, ld = shape.ld, words = size * ld + 3 * size;
    const std::int64_t at_once = std::clamp(std::min(kScratchBytes, device_free_bytes() / 2) / (4 * words),
                                            std::int64_t{1}, std::min(rows, kMostRows));
    const std::int64_t side = blocks_for(ld, kProductTile);
    DeviceArray<float> memory(at_once * words);
    for (std::int64_t first = 0; first < rows; first += at_once) {
        const std::int64_t n = std::min(at_once, rows - first);
        const LargeSystems systems{memory.data(), size, ld, first};
        FASTCF_LAUNCH(product_kernel, Grid(side * (side + 1) / 2, n), kThreads, 0, problem, systems);
        FASTCF_LAUNCH(large_kernel, n, kMostThreads, 0, problem, prior, systems);
    }
}

}  // namespace fastcf::als
