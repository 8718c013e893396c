// The lower triangle is kept, in tiles that one thread updates by one product each.
#include "ops/spd_inverse.h"

#include <cmath>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "ops/gemm.h"

namespace fastcf {
namespace {

constexpr std::int64_t kTile = 512;   // rows and columns that a product updates
constexpr std::int64_t kCopied = 32;  // rows and columns that are transposed at a time

MatrixView<float> part(MatrixView<float> a, std::int64_t row, std::int64_t col, std::int64_t rows, std::int64_t cols) {
    return {a.row(row) + col, rows, cols, a.stride};
}
MatrixView<const float> read(MatrixView<float> a) {
    return {a.data, a.rows, a.cols, a.stride};
}

void transpose(MatrixView<const float> from, MatrixView<float> to) {
    for (std::int64_t i0 = 0; i0 < from.rows; i0 += kCopied)
        for (std::int64_t j0 = 0; j0 < from.cols; j0 += kCopied)
            for (std::int64_t i = i0; i < std::min(from.rows, i0 + kCopied); ++i)
                for (std::int64_t j = j0; j < std::min(from.cols, j0 + kCopied); ++j) to.row(j)[i] = from.row(i)[j];
}

void copy_lower_to_upper(MatrixView<float> a) {
    for (std::int64_t i = 0; i < a.rows; ++i)
        for (std::int64_t j = 0; j < i; ++j) a.row(j)[i] = a.row(i)[j];
}

// Sweeps all columns of a small matrix, in float64.
std::int64_t sweep_small(MatrixView<float> a, const float* diagonal) {
    double m[kSweptAtOnce][kSweptAtOnce], column[kSweptAtOnce];
    const std::int64_t n = a.rows;
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j <= i; ++j) m[i][j] = m[j][i] = static_cast<double>(a.row(i)[j]);
    for (std::int64_t k = 0; k < n; ++k) {
        const double pivot = m[k][k];
        if (!(pivot > kLeastPivot * static_cast<double>(diagonal[k])) || !(pivot > 0) || !std::isfinite(pivot))
            return k;
        const double inverse = 1.0 / pivot;
        for (std::int64_t i = 0; i < n; ++i) column[i] = m[i][k] * inverse;
        for (std::int64_t i = 0; i < n; ++i) {
            if (i == k) continue;
            const double scale = column[i];
            for (std::int64_t j = 0; j < n; ++j) m[i][j] -= scale * m[k][j];
        }
        for (std::int64_t i = 0; i < n; ++i) m[i][k] = m[k][i] = column[i];
        m[k][k] = -inverse;
    }
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j <= i; ++j) a.row(i)[j] = static_cast<float>(m[i][j]);
    return -1;
}

// Sweeps all columns of the lower triangle, which becomes that of minus the inverse; `diagonal` is the one that the
// matrix began with.
std::int64_t sweep(MatrixView<float> a, const float* diagonal, int n_threads) {
    const std::int64_t n = a.rows;
    if (n <= kSweptAtOnce) return sweep_small(a, diagonal);
    const std::int64_t width = sweep_width(n), tiles = (n + kTile - 1) / kTile;
    AlignedBuffer<float> block_memory(width * width), panel_memory(n * width), product_memory(n * width);
    const int threads = n <= kTile ? 1 : n_threads;
    for (std::int64_t k = 0; k < n; k += width) {
        const std::int64_t b = std::min(width, n - k);
        const MatrixView<float> minus_p{block_memory.data(), b, b, b};
        const MatrixView<float> panel{panel_memory.data(), n, b, b}, product{product_memory.data(), n, b, b};
        for (std::int64_t i = 0; i < b; ++i) std::copy_n(a.row(k + i) + k, i + 1, minus_p.row(i));
        const std::int64_t failed = sweep(minus_p, diagonal + k, 1);
        if (failed >= 0) return k + failed;
        copy_lower_to_upper(minus_p);
        // Before the block a row holds its columns, after it a column: the lower triangle.
        parallel_for(tiles, threads, [&](std::int64_t tile, int) {
            const std::int64_t first = tile * kTile, end = std::min(n, first + kTile);
            const std::int64_t before = std::min(end, k), after = std::max(first, k + b);
            if (first < before)
                transpose(read(part(a, k, first, b, before - first)), part(panel, first, 0, before - first, b));
            for (std::int64_t i = std::max(first, k); i < std::min(end, k + b); ++i) std::fill_n(panel.row(i), b, 0.0f);
            for (std::int64_t i = after; i < end; ++i) std::copy_n(a.row(i) + k, b, panel.row(i));
            gemm<float>(false, false, -1.0f, read(part(panel, first, 0, end - first, b)), read(minus_p), 0.0f,
                        part(product, first, 0, end - first, b), 1);
        });
        // Rows of the block are zero in both factors: what the products do to them is nothing.
        parallel_for(tiles * (tiles + 1) / 2, threads, [&](std::int64_t task, int) {
            auto row = static_cast<std::int64_t>((std::sqrt(8.0 * static_cast<double>(task) + 1.0) - 1.0) / 2.0);
            while (row * (row + 1) / 2 > task) --row;
            while ((row + 1) * (row + 2) / 2 <= task) ++row;
            const std::int64_t col = task - row * (row + 1) / 2, i = row * kTile, j = col * kTile;
            const std::int64_t rows = std::min(kTile, n - i), cols = std::min(kTile, n - j);
            gemm<float>(false, true, -1.0f, read(part(product, i, 0, rows, b)), read(part(panel, j, 0, cols, b)), 1.0f,
                        part(a, i, j, rows, cols), 1);
        });
        parallel_for(tiles, threads, [&](std::int64_t tile, int) {
            const std::int64_t first = tile * kTile, end = std::min(n, first + kTile);
            const std::int64_t before = std::min(end, k), after = std::max(first, k + b);
            if (first < before)
                transpose(read(part(product, first, 0, before - first, b)), part(a, k, first, b, before - first));
            for (std::int64_t i = after; i < end; ++i) std::copy_n(product.row(i), b, a.row(i) + k);
        });
        for (std::int64_t i = 0; i < b; ++i) std::copy_n(minus_p.row(i), i + 1, a.row(k + i) + k);
    }
    return -1;
}

}  // namespace

std::int64_t spd_inverse(MatrixView<float> a, int n_threads) {
    check_spd_inverse(a);
    const std::int64_t n = a.rows;
    std::vector<float> diagonal(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) diagonal[static_cast<std::size_t>(i)] = a.row(i)[i];
    const std::int64_t failed = sweep(a, diagonal.data(), n_threads);
    if (failed >= 0) return failed;
    const std::int64_t rows = 64;
    parallel_chunks(n, rows, n <= kTile ? 1 : n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t j0 = 0; j0 < end; j0 += rows)
            for (std::int64_t i = begin; i < end; ++i)
                for (std::int64_t j = j0; j < std::min(j0 + rows, i + 1); ++j)
                    a.row(j)[i] = a.row(i)[j] = 0.0f - a.row(i)[j];
    });
    return -1;
}

}  // namespace fastcf
