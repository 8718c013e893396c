// The vector part of alternating least squares.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

inline constexpr std::int64_t kAlsBlock = 32;  // ratings whose column rows are packed at once: 8 KB at k = 64

// A row by conjugate gradients: minimises precision/2 sum w (t - q.x)^2 + 1/2 sum_f (reg + diagonal_f) x_f^2 from where
// x is. Vectors have room for whole vectors of the instruction set, zeros behind k.
struct AlsIteration {
    const float* const* rows;    // of the row's ratings, k floats each
    const float *w, *t, *zeros;  // weights and targets of the ratings; zeros, as many
    std::int64_t n, k;
    float reg, precision, weight_sum;
    const float *diagonal, *expected;  // (k,), or both null; the preconditioner is reg + diagonal + weight_sum expected
    int steps;
};

struct AlsKernels {
    // Packs n <= kAlsBlock rows of k floats into `packed` (n, stride), zero padded, and into `weighted` the same times
    // w[d]; adds sum w q to `sums` and sum wt q to `target_sums` (both of `stride` floats).
    void (*pack)(const float* const* rows, const float* w, const float* wt, std::int64_t n, std::int64_t k,
                 std::int64_t stride, float* packed, float* weighted, float* sums, float* target_sums);
    // products[i][j] += sum_d weighted[d][i] packed[d][j] for i <= j, and for some i > j; rows `ld` apart.
    void (*add_products)(const float* packed, const float* weighted, std::int64_t n, std::int64_t stride,
                         float* products, std::int64_t ld);
    // The upper triangle of the first d rows, ld wide, becomes scale a + other.
    void (*scale_add)(float* a, float scale, const float* other, std::int64_t d, std::int64_t ld);
    // The upper triangle of the positive semidefinite (d, d) matrix A, followed by the column b, becomes R and R^-T b
    // with A = R^T R. `inverse` gets 1 / R[j][j], or 0 where the pivot is 0 to rounding; that row of R becomes 0.
    // Rows are `ld` apart, a multiple of 16 above d; what is below the diagonal is overwritten.
    void (*factorise)(float* a, std::int64_t d, std::int64_t ld, float* inverse);
    // x = R^-1 (y + noise), y being column d of the factorised matrix; `noise` may be null. x has room for `ld` floats.
    void (*back_substitute)(const float* a, std::int64_t d, std::int64_t ld, const float* inverse, const float* noise,
                            float* x);
    // products[i][j] = scale <rows[i], rows[j]> + shift for i <= j < n; rows of k floats, products `ld` apart.
    void (*row_products)(const float* const* rows, std::int64_t n, std::int64_t k, float scale, float shift,
                         float* products, std::int64_t ld);
    // out[e] = <rows[e], x>, and out += sum_e c[e] rows[e]; over k floats.
    void (*row_dots)(const float* const* rows, std::int64_t n, std::int64_t k, const float* x, float* out);
    void (*add_combination)(const float* const* rows, const float* c, std::int64_t n, std::int64_t k, float* out);
    // out += sum_e w[e] (t[e] - q_e.x - x_bias) q_e over rows of k floats; returns the sum of those factors.
    float (*add_residuals)(const float* const* rows, const float* w, const float* t, std::int64_t n, std::int64_t k,
                           const float* x, float x_bias, float* out);
    // `work` has room for five vectors of k floats, rounded up to 16.
    void (*iterate)(const AlsIteration& row, float* x, float* work);
};

FASTCF_KERNEL_TABLES(AlsKernels, als_kernels)

}  // namespace fastcf
