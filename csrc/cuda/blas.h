// cuBLAS, where it can be loaded.
#pragma once

#include <cstdint>

#include "ops/gemm.h"

namespace fastcf {

// What gemm promises, on row-major matrices of the device; false where there is no cuBLAS. Throws DeviceFailure where
// cuBLAS fails.
bool blas_gemm(bool transpose_a, bool transpose_b, const GemmShape& shape, float alpha, const float* a,
               std::int64_t a_stride, const float* b, std::int64_t b_stride, float beta, float* c,
               std::int64_t c_stride);
bool blas_gemm(bool transpose_a, bool transpose_b, const GemmShape& shape, double alpha, const double* a,
               std::int64_t a_stride, const double* b, std::int64_t b_stride, double beta, double* c,
               std::int64_t c_stride);

// The file that cuBLAS was loaded from, or why it was not.
const char* blas_state();

}  // namespace fastcf
