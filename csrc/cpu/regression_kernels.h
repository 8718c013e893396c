// The vector part of ops/regression.h: small dense linear algebra in float64, its cubic parts in float32 too.
#pragma once

#include "core/isa.h"

namespace fastcf {

// Rows begin `lda` doubles apart, lda and p being multiples of kRegressionPad; columns up to p are there and zero where
// the problem has fewer.
inline constexpr long kRegressionPad = 8;
inline constexpr long kRegressionFloatPad = 16;  // the same for matrices of floats

struct RegressionKernels {
    // out_r = the p floats of the row items[r] of a table as doubles, then zeros up to ldo
    void (*gather_wide)(const float* table, long ld, const int* items, long n, long p, double* out, long ldo);
    // out_r = scale[r] (a_r - center); scale and center may be null: 1 and 0. `out` may be `a`.
    void (*shift_scale)(const double* a, long lda, long n, long p, const double* center, const double* scale,
                        double* out);
    // out = A x and out = A' x
    void (*times)(const double* a, long lda, long n, long p, const double* x, double* out);
    void (*transposed_times)(const double* a, long lda, long n, long p, const double* x, double* out);
    double (*dot)(const double* x, const double* y, long n);
    // (x, y) = (c x - s y, s x + c y)
    void (*rotate)(double* x, double* y, long n, double c, double s);

    // Rows of floats, `lda` numbers, a multiple of kRegressionFloatPad: zeros first, as many as are needed, then the
    // features. out_r = the row items[r] of a table, of p numbers, at least kRegressionFloatPad; `known` >= n items are
    // there, and the rows of the next ones are fetched ahead
    void (*gather)(const float* table, long ld, const int* items, long n, long known, long p, float* out, long ldo);
    // out_r = scale[r] (a_r - center)
    void (*center_scale)(const float* a, long lda, long n, const float* center, const float* scale, float* out);
    // The same of rows of p doubles
    void (*center_scale_narrow)(const double* a, long lda, long n, long p, const double* center, const double* scale,
                                float* out, long ldo);
    // out = A' from column `begin` (a multiple of four) on, the columns of A' after ldo - n of zeros; `zeros` is a row
    void (*transpose)(const float* a, long lda, long n, long begin, const float* zeros, float* out, long ldo);
    // out += A' x
    void (*add_transposed_floats)(const float* a, long lda, long n, const float* x, float* out);
    // C = A less the centre (null: 0, for the second), in float64: out = C x, out += C' x, and
    // out = C' W (target - C x)
    void (*centred_times)(const float* a, long lda, long n, const double* center, const double* x, double* out);
    void (*add_centred_transposed)(const float* a, long lda, long n, const double* center, const double* x,
                                   double* out);
    void (*weighted_residuals)(const float* a, long lda, long n, const double* center, const double* weight,
                               const double* target, const double* x, double* out);
};

struct RegressionFactorKernels {
    // C = A' A, or C += A' A: the upper triangle; what lies below the diagonal is left undefined. The first `lead`
    // columns of A are zero, and rows of C up to `lead` rounded down to a multiple of four are left as they are.
    void (*gram)(const double* a, long lda, long n, long p, long lead, bool add, double* c, long ldc);
    // C = U' U in place, the upper triangle without its diagonal blocks of kRegressionPad: the inverses of those, and
    // their transposes, go to `inverses`, 2 p kRegressionPad numbers. False where a pivot falls below `tolerance` times
    // the diagonal it began as (or is not a number). The first `lead` rows and columns are the identity's.
    bool (*cholesky)(double* c, long ldc, long p, long lead, double tolerance, double* inverses);
    // x = (U' U)^-1 x
    void (*solve)(const double* u, long ldu, long p, const double* inverses, double* x);
    // The same in float32, with kRegressionFloatPad
    void (*gram_float)(const float* a, long lda, long n, long p, long lead, bool add, float* c, long ldc);
    bool (*cholesky_float)(float* c, long ldc, long p, long lead, float tolerance, float* inverses);
    void (*solve_float)(const float* u, long ldu, long p, const float* inverses, float* x);
};

FASTCF_KERNEL_TABLES(RegressionKernels, regression_kernels)
FASTCF_KERNEL_TABLES(RegressionFactorKernels, regression_factor_kernels)

}  // namespace fastcf
