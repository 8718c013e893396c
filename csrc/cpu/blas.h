// The BLAS in use: functions of SciPy's, handed over when the module is loaded, so that there is no second one to
// install.
#pragma once

namespace fastcf {

template <class T>
using BlasGemm = void (*)(char* transpose_a, char* transpose_b, int* m, int* n, int* k, T* alpha, T* a, int* a_stride,
                          T* b, int* b_stride, T* beta, T* c, int* c_stride);

inline BlasGemm<float> blas_sgemm = nullptr;
inline BlasGemm<double> blas_dgemm = nullptr;

}  // namespace fastcf
