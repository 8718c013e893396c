// The vector part of ops/regression.h: small dense linear algebra in float64, its cubic parts in float32 too.
#pragma once

#include "core/isa.h"

namespace fastcf {

// Rows begin `lda` doubles apart, lda and p being multiples of kRegressionPad; columns up to p are there and zero where
// the problem has fewer.
inline constexpr long kRegressionPad = 8;
inline constexpr long kRegressionFloatPad = 16;  // the same for matrices of floats

struct RegressionKernels {
    // out = the row's p floats as doubles, then zeros up to `padded`
    void (*widen)(const float* row, long p, long padded, double* out);
    // out = A or A' as floats, then zeros up to ldo
    void (*narrow)(const double* a, long lda, long n, long p, float* out, long ldo);
    void (*narrow_transposed)(const double* a, long lda, long n, long p, float* out, long ldo);
    // out_r = scale[r] (a_r - center); scale and center may be null: 1 and 0. `out` may be `a`.
    void (*shift_scale)(const double* a, long lda, long n, long p, const double* center, const double* scale,
                        double* out);
    // out = A x and out = A' x
    void (*times)(const double* a, long lda, long n, long p, const double* x, double* out);
    void (*transposed_times)(const double* a, long lda, long n, long p, const double* x, double* out);
    // out = A' (target - A x)
    void (*transposed_residuals)(const double* a, long lda, long n, long p, const double* target, const double* x,
                                 double* out);
    double (*dot)(const double* x, const double* y, long n);
    // (x, y) = (c x - s y, s x + c y)
    void (*rotate)(double* x, double* y, long n, double c, double s);
    // C += A' A, the upper triangle; what lies below the diagonal is left undefined
    void (*gram)(const double* a, long lda, long n, long p, double* c, long ldc);
    // C = U' U in place, the upper triangle; false where a pivot falls below `tolerance` times the diagonal it began as
    // (or is not a number). `diagonal` is room for p numbers.
    bool (*cholesky)(double* c, long ldc, long p, double tolerance, double* diagonal);
    // x = (U' U)^-1 x
    void (*solve)(const double* u, long ldu, long p, double* x);
    // The same in float32
    void (*gram_float)(const float* a, long lda, long n, long p, float* c, long ldc);
    bool (*cholesky_float)(float* c, long ldc, long p, float tolerance, float* diagonal);
    void (*solve_float)(const float* u, long ldu, long p, float* x);
};

FASTCF_KERNEL_TABLES(RegressionKernels, regression_kernels)

}  // namespace fastcf
