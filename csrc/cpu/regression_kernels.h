// The vector part of ops/regression.h: small dense linear algebra in float64, its cubic parts in float32 too.
#pragma once

#include "core/isa.h"
#include "cpu/factor_kernels.h"

namespace fastcf {

// Rows begin `lda` doubles apart as in factor_kernels.h.
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

FASTCF_KERNEL_TABLES(RegressionKernels, regression_kernels)

}  // namespace fastcf
