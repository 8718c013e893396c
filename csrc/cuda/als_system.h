// The system of a row's normal equations, made and solved by one block.
#pragma once

#include <algorithm>

#include "cuda/als.h"

namespace fastcf::als {

constexpr int kStage = 32;                                     // ratings whose rows a block holds at once
constexpr int kTile = 8;                                       // columns on a side of a thread's tile of products
constexpr int kMostGroups = 8;                                 // of threads that take ratings in turns
constexpr int kPanel = 4;                                      // pivots whose updates are applied together
constexpr std::int64_t kScratchBytes = std::int64_t{1} << 30;  // of systems in global memory at once

// Measures of one row's system. Upper triangle: row i begins at i ld; column `size` is the right side.
struct Shape {
    Shape(int k, int d)
        : size((d + kPanel - 1) / kPanel * kPanel),
          ld(size + 4),
          padded((k + kTile - 1) / kTile * kTile),
          pitch(padded + 4),
          side(padded / kTile),
          tiles(side * (side + 1) / 2),
          area(std::max(std::int64_t{size} * ld, std::int64_t{kStage} * pitch)) {
        // Few threads stay without a tile; each column has a thread for the sums beside the tiles.
        for (threads = 2 * kWarp; threads < kMostThreads; threads += kWarp) {
            groups = std::min(threads / tiles, kMostGroups);
            if (threads > k && (groups == kMostGroups || 5 * groups * tiles >= 4 * threads)) break;
        }
    }
    std::int64_t shared_bytes() const { return (area + 3 * size) * 4; }

    int size, ld;
    int padded, pitch;  // columns of tiles, and with the root of the rating's weight behind them
    int side, tiles;
    std::int64_t area;  // floats that system and staged rows take by turns
    int threads = 0, groups = 0;
};

// What a block keeps in shared memory. The system takes the place of the staged rows when all products are made.
struct Workspace {
    Shared<float> system, diagonal, inverse, solution;
    Shared<float> roots, targets;  // of the staged ratings: sqrt(w), sqrt(w) t
    Shared<std::int32_t> columns;
};

FASTCF_DEVICE void place_vectors(Workspace* work, Shared<float> memory, const Shape& shape) {
    work->diagonal = memory;
    work->inverse = memory + shape.size;
    work->solution = memory + 2 * shape.size;
}

#define FASTCF_WORKSPACE(work, shape, area)                                  \
    FASTCF_DYNAMIC_SHARED(float, memory);                                    \
    FASTCF_SHARED(float, roots, kStage);                                     \
    FASTCF_SHARED(float, targets, kStage);                                   \
    FASTCF_SHARED(std::int32_t, columns, kStage);                            \
    Workspace work{memory, memory, memory, memory, roots, targets, columns}; \
    place_vectors(&work, memory + (area), shape)

FASTCF_DEVICE void add4(Shared<float> place, float a, float b, float c, float d) {
    const float4 sum = load4(place);
    store4(place, make_float4(sum.x + a, sum.y + b, sum.z + c, sum.w + d));
}

// Adds a quarter of a tile, from (kRow, kColumn) of `sums` on, to the system at (row, column).
template <int kRow, int kColumn>
FASTCF_DEVICE void add_quarter(const float (&sums)[kTile][kTile], Shared<float> system, const Shape& shape, int row,
                               int column) {
    if (row >= shape.size || column >= shape.size) return;
    for (int i = 0; i < 4; ++i)
        add4(system + (row + i) * shape.ld + column, sums[kRow + i][kColumn], sums[kRow + i][kColumn + 1],
             sums[kRow + i][kColumn + 2], sums[kRow + i][kColumn + 3]);
}
template <int kRow, int kColumn>
FASTCF_DEVICE void add_quarter_turned(const float (&sums)[kTile][kTile], Shared<float> system, const Shape& shape,
                                      int row, int column) {
    if (row >= shape.size || column >= shape.size) return;
    for (int i = 0; i < 4; ++i)
        add4(system + (row + i) * shape.ld + column, sums[kRow][kColumn + i], sums[kRow + 1][kColumn + i],
             sums[kRow + 2][kColumn + i], sums[kRow + 3][kColumn + i]);
}

// Makes the system sum w a a^T | sum w t a of ratings [begin, end) of a row, padded with zeros. A thread owns a tile of
// 8 x 8 products, four columns of either half of the factors by four of either half, and one group of threads every
// groups-th rating; a thread per column adds up what stands beside the factors' products.
FASTCF_DEVICE void add_up(const Problem& problem, const Shape& shape, std::int64_t row, std::int64_t begin,
                          std::int64_t end, const Workspace& work) {
    const int t = this_thread(), threads = block_threads(), quads = shape.pitch / 4, half = shape.padded / 2;
    const int group = t / shape.tiles;
    const TilePlace tile = tile_place(t % shape.tiles, shape.side);
    const int left = 4 * tile.row, right = 4 * tile.column, own = t < problem.k ? t : shape.padded;
    const float offset = row_offset(problem, row);
    float sums[kTile][kTile] = {};
    float column_sum = 0.0f, target_sum = 0.0f;
    for (std::int64_t first = begin; first < end; first += kStage) {
        const int count = end - first < kStage ? static_cast<int>(end - first) : kStage;
        if (t < count) {
            const std::int32_t column = problem.columns[first + t];
            const float root = rating_root(problem, first + t);
            work.columns[t] = column;
            work.roots[t] = root;
            work.targets[t] = root * rating_target(problem, first + t, column, offset);
        }
        block_sync();
        for (int u = t; u < count * quads; u += threads) {
            const int e = u / quads, f = u % quads * 4;
            const float root = work.roots[e];
            float4 q = make_float4(1.0f, 0.0f, 0.0f, 0.0f);
            if (f < shape.padded)
                q = four_factors(column_row(problem, work.columns[e]) + f, problem.k - f, problem.by_four);
            store4(work.system + e * shape.pitch + f, make_float4(root * q.x, root * q.y, root * q.z, root * q.w));
        }
        block_sync();
        if (group < shape.groups) {
            for (int e = group; e < count; e += shape.groups) {
                const Shared<float> staged = work.system + e * shape.pitch;
                const float4 a0 = load4(staged + left), a1 = load4(staged + half + left);
                const float4 b0 = load4(staged + right), b1 = load4(staged + half + right);
                const float a[kTile] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
                const float b[kTile] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
                for (int i = 0; i < kTile; ++i)
                    for (int j = 0; j < kTile; ++j) sums[i][j] += a[i] * b[j];
            }
        }
        if (t <= problem.k) {
            for (int e = 0; e < count; ++e) {
                const float q = work.system[e * shape.pitch + own], root = work.roots[e], target = work.targets[e];
                column_sum += root * q;
                target_sum += target * q;
            }
        }
        block_sync();
    }
    for (int u = 4 * t; u < shape.size * shape.ld; u += 4 * threads)
        store4(work.system + u, make_float4(0.0f, 0.0f, 0.0f, 0.0f));
    block_sync();
    for (int g = 0; g < shape.groups; ++g) {
        if (group == g) {
            add_quarter<0, 0>(sums, work.system, shape, left, right);
            add_quarter<0, 4>(sums, work.system, shape, left, half + right);
            add_quarter<4, 4>(sums, work.system, shape, half + left, half + right);
            if (left < right) add_quarter_turned<4, 0>(sums, work.system, shape, right, half + left);
        }
        block_sync();
    }
    if (t < problem.d) {
        if (problem.d > problem.k) work.system[t * shape.ld + problem.k] = column_sum;
        work.system[t * shape.ld + shape.size] = target_sum;
    }
    block_sync();
}

// A becomes R, and the right side R^-T b, with A = R^T R; a row of R is 0 where its pivot is 0 to rounding. `inverse`
// gets 1 / R[i][i]; entries within a diagonal block of a panel are stored below the diagonal, R[i][j] at [j][i], so
// that no thread overwrites what another still reads. Every thread that has a column factorises the diagonal block for
// itself.
template <class Index>
FASTCF_DEVICE void factorise(Shared<float> a, Index size, Index ld, Shared<float> diagonal, Shared<float> inverse) {
    const int t = this_thread(), threads = block_threads();
    for (Index first = 0; first < size; first += kPanel) {
        const Index next = first + kPanel;
        if (t == 0 || next + t <= size) {
            float r[kPanel][kPanel], scale[kPanel];
            for (int p = 0; p < kPanel; ++p)
                for (int q = p; q < kPanel; ++q) r[p][q] = a[(first + p) * ld + first + q];
            for (int p = 0; p < kPanel; ++p) {
                const float entry = diagonal[first + p];
                scale[p] = r[p][p] > kSmallestPivot * entry ? inverse_root(r[p][p]) : 0.0f;
                for (int q = p + 1; q < kPanel; ++q) r[p][q] *= scale[p];
                for (int i = p + 1; i < kPanel; ++i)
                    for (int j = i; j < kPanel; ++j) r[i][j] -= r[p][i] * r[p][j];
            }
            for (int p = 0; t == 0 && p < kPanel; ++p) {
                inverse[first + p] = scale[p];
                for (int q = p + 1; q < kPanel; ++q) a[(first + q) * ld + first + p] = r[p][q];
            }
            for (Index c = next + t; c <= size; c += threads) {
                float v[kPanel];
                for (int p = 0; p < kPanel; ++p) {
                    v[p] = a[(first + p) * ld + c];
                    for (int q = 0; q < p; ++q) v[p] -= r[q][p] * v[q];
                    v[p] *= scale[p];
                    a[(first + p) * ld + c] = v[p];
                }
            }
        }
        block_sync();
        const int side = static_cast<int>((ld - next) / 4);  // of tiles of what is left, the right side being the last
        for (int u = t; u < side * (side + 1) / 2; u += threads) {
            const TilePlace tile = tile_place(u, side);
            const Index row = next + 4 * tile.row, column = next + 4 * tile.column;
            if (row >= size) continue;
            float4 sums[4];
            for (int i = 0; i < 4; ++i) sums[i] = load4(a + (row + i) * ld + column);
            for (int p = 0; p < kPanel; ++p) {
                const float4 x = load4(a + (first + p) * ld + row), y = load4(a + (first + p) * ld + column);
                const float factors[4] = {x.x, x.y, x.z, x.w};
                for (int i = 0; i < 4; ++i) {
                    sums[i].x -= factors[i] * y.x;
                    sums[i].y -= factors[i] * y.y;
                    sums[i].z -= factors[i] * y.z;
                    sums[i].w -= factors[i] * y.w;
                }
            }
            for (int i = 0; i < 4; ++i) store4(a + (row + i) * ld + column, sums[i]);
        }
        block_sync();
    }
}

// x = R^-1 x, 32 unknowns at a time: a warp solves for them, then all threads take them to the rows above.
template <class Index>
FASTCF_DEVICE void back_substitute(Shared<float> a, Index size, Index ld, Shared<float> inverse, Shared<float> x) {
    const int t = this_thread(), threads = block_threads();
    for (Index first = (size - 1) / kWarp * kWarp; first >= 0; first -= kWarp) {
        const int count = size - first < kWarp ? static_cast<int>(size - first) : kWarp;
        if (t < kWarp) {
            float own = t < count ? x[first + t] : 0.0f;
            const float scale = t < count ? inverse[first + t] : 0.0f;
            for (int j = count - 1; j >= 0; --j) {
                const float solved = shuffle(own * scale, j);
                if (t == j) own = solved;
                if (t >= j) continue;
                const Index row = first + t, column = first + j;
                const float entry = row / kPanel == column / kPanel ? a[column * ld + row] : a[row * ld + column];
                own -= entry * solved;
            }
            if (t < count) x[first + t] = own;
        }
        block_sync();
        for (Index i = t; i < first; i += threads) {
            float sum = x[i];
            FASTCF_UNROLL_BY(2)
            for (int j = 0; j < count; j += 4) {
                const float4 entry = load4(a + i * ld + first + j), solved = load4(x + first + j);
                sum -= entry.x * solved.x + entry.y * solved.y + entry.z * solved.z + entry.w * solved.w;
            }
            x[i] = sum;
        }
        block_sync();
    }
}

// From the ratings' part of a system to the row's solution.
template <class Index>
FASTCF_DEVICE void solve(const Problem& problem, const Prior& prior, std::int64_t row, Index size, Index ld,
                         const Workspace& work) {
    const int t = this_thread(), threads = block_threads(), k = problem.k, d = problem.d;
    const Shared<float> a = work.system;
    if (prior.precision != 1.0f || prior.matrix != nullptr) {
        for (Index u = t; u < size * ld; u += threads) {
            const Index i = u / ld, j = u % ld;
            if (i >= d || (j != size && (j < i || j >= d))) continue;
            float entry = prior.precision * a[u];
            if (prior.matrix != nullptr) entry += j == size ? prior.right[i] : prior.matrix[i * prior.stride + j];
            a[u] = entry;
        }
        block_sync();
    }
    const float reg = problem.penalties[row];
    for (Index i = t; i < size; i += threads) {
        const float entry = a[i * ld + i] + (i < k   ? reg + prior.of_all(static_cast<int>(i))
                                             : i < d ? prior.bias_reg
                                                     : 0.0f);
        a[i * ld + i] = entry;
        work.diagonal[i] = entry;
    }
    block_sync();
    factorise<Index>(a, size, ld, work.diagonal, work.inverse);
    for (Index i = t; i < size; i += threads) {
        const float noise = prior.noise != nullptr && i < d ? prior.noise[row * prior.noise_stride + i] : 0.0f;
        work.solution[i] = a[i * ld + size] + noise;
    }
    block_sync();
    back_substitute<Index>(a, size, ld, work.inverse, work.solution);
    for (Index i = t; i < d; i += threads) {
        const float x = work.solution[i];
        if (i < k)
            problem.factors[row * problem.stride + i] = x;
        else
            problem.bias[row] = x;
    }
}

}  // namespace fastcf::als
