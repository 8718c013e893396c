// Gram matrices and Cholesky's factorisation of small dense matrices, in float64 and in float32.
#pragma once

#include "core/isa.h"

namespace fastcf {

// Rows begin `lda` doubles apart, lda and p being multiples of kRegressionPad; columns up to p are there and zero where
// the problem has fewer.
inline constexpr long kRegressionPad = 8;
inline constexpr long kRegressionFloatPad = 16;  // the same for matrices of floats

struct FactorKernels {
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

FASTCF_KERNEL_TABLES(FactorKernels, factor_kernels)

}  // namespace fastcf
