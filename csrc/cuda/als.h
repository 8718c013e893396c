// What the kernels of alternating least squares share: the ratings of a row, and which rows are long.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/memory.h"
#include "cuda/kernel.h"
#include "math/als.h"
#include "math/penalty.h"
#include "ops/als.h"

namespace fastcf::als {

constexpr int kThreads = 256;      // of kernels that do the same for many elements
constexpr int kMostThreads = 512;  // of a block that solves a row
constexpr int kRowThreads = 128;   // of a block that passes over the ratings of a row that is not long

struct Problem {
    Global<const std::int64_t> indptr;
    Global<const std::int32_t> columns;
    Global<const float> values, weights, column_factors, row_offset, column_offset;
    Global<float> factors, bias;
    Global<const float> penalties;  // of rows
    std::int64_t column_stride, stride;
    int k, d;  // factors, and with the bias
    float offset;
    bool by_four, rows_by_four;  // columns' and rows' factors may be read four at a time
};

struct Prior {
    Global<const float> matrix, right, noise;  // right: the matrix times the mean
    Global<const float> spectrum;              // of the Gram matrix of all columns
    std::int64_t stride, noise_stride;
    float bias_reg, precision;
    float unobserved, column_share;  // weight of all columns, and one column's share of them

    // What a factor's diagonal entry has beside the ratings' part and the row's penalty.
    FASTCF_DEVICE float of_all(int f) const {
        if (spectrum == nullptr) return 0.0f;
        const float entry = spectrum[f];
        return unobserved * entry;
    }
};

// Rows cut into pieces, in any order; the pieces of a row stand together and in order.
struct LongRows {
    Global<int> counts;  // of rows and of pieces
    Global<int> rows, first_pieces, row_of_piece;
    std::int64_t piece;  // ratings of a piece; longer rows are long
};

// The long rows, and how many there are; and the penalties of all.
struct Plan {
    // given_penalties: on the device, in place of the prior's, or null.
    Plan(const std::int64_t* indptr, std::int64_t n_rows, std::int64_t nnz, const AlsPrior& prior,
         const float* given_penalties, std::int64_t piece);

    DeviceArray<float> penalties;
    DeviceArray<int> counts, rows, first_pieces, row_of_piece;
    LongRows parts;
    std::int64_t n_long = 0, n_pieces = 0;
};

struct Shape;

// These solve every row. Systems too large for shared memory are made and solved in global memory.
void solve_large(const Problem& problem, const Prior& prior, const Shape& shape, std::int64_t rows);
void iterate(const Problem& problem, const Prior& prior, int steps, const Plan& plan, std::int64_t rows);

FASTCF_DEVICE int this_thread() {
    return static_cast<int>(threadIdx.x);
}
FASTCF_DEVICE int block_threads() {
    return static_cast<int>(blockDim.x);
}

// Tile u of the upper triangle of a square of tiles: row r of the triangle and row side - 1 - r share a line.
struct TilePlace {
    int row, column;
};
FASTCF_DEVICE TilePlace tile_place(int u, int side) {
    const int r = u / (side + 1), s = u % (side + 1);
    return s < side - r ? TilePlace{r, r + s} : TilePlace{side - 1 - r, s - 1};
}

FASTCF_DEVICE float rating_root(const Problem& problem, std::int64_t e) {
    if (problem.weights == nullptr) return 1.0f;
    const float weight = problem.weights[e];
    return sqrtf(weight);
}

FASTCF_DEVICE float row_offset(const Problem& problem, std::int64_t row) {
    if (problem.row_offset == nullptr) return problem.offset;
    const float offset = problem.row_offset[row];
    return problem.offset + offset;
}

FASTCF_DEVICE float rating_target(const Problem& problem, std::int64_t e, std::int32_t column, float offset) {
    float value = 1.0f;
    if (problem.values != nullptr) value = problem.values[e];
    if (problem.column_offset == nullptr) return value - offset;
    const float column_offset = problem.column_offset[column];
    return value - offset - column_offset;
}

// The next four factors of a row, of which `left` are left; zeros after them.
FASTCF_DEVICE float4 four_factors(Global<const float> row, int left, bool by_four) {
    if (by_four) return left > 0 ? load4(row) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float parts[4];
    for (int i = 0; i < 4; ++i) parts[i] = i < left ? row[i] : 0.0f;
    return make_float4(parts[0], parts[1], parts[2], parts[3]);
}

FASTCF_DEVICE Global<const float> column_row(const Problem& problem, std::int32_t column) {
    return problem.column_factors + column * problem.column_stride;
}

constexpr int kRatingLanes = 8;  // threads that share a rating's inner product

// <q, x> over k factors (or none) by kRatingLanes neighbouring lanes, in all of them. All lanes of the warp must call
// it.
FASTCF_DEVICE float lanes_product(Global<const float> q, Global<const float> x, int k, bool by_four) {
    const int part = this_thread() % kRatingLanes;
    float sum = 0.0f;
    if (by_four) {
        FASTCF_UNROLL_BY(2)
        for (int f = part * 4; f < k; f += kRatingLanes * 4) {
            const float4 a = load4(q + f), b = load4(x + f);
            sum += a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
        }
    } else {
        FASTCF_NO_UNROLL
        for (int f = part; f < k; f += kRatingLanes) sum += q[f] * x[f];
    }
    for (int mask = kRatingLanes / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    return sum;
}

// Rows without ratings become 0 where no prior is.
FASTCF_DEVICE void clear_row(const Problem& problem, std::int64_t row) {
    for (int f = this_thread(); f < problem.k; f += block_threads()) problem.factors[row * problem.stride + f] = 0.0f;
    if (this_thread() == 0 && problem.d > problem.k) problem.bias[row] = 0.0f;
}

}  // namespace fastcf::als
