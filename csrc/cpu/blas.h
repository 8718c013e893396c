// The BLAS in use: functions of SciPy's, handed over when the module is loaded, so that there is no second one to
// install; and which products are its.
#pragma once

#include <string>

#include "core/isa.h"
#include "core/thread_pool.h"

namespace fastcf {

template <class T>
using BlasGemm = void (*)(char* transpose_a, char* transpose_b, int* m, int* n, int* k, T* alpha, T* a, int* a_stride,
                          T* b, int* b_stride, T* beta, T* c, int* c_stride);

inline BlasGemm<float> blas_sgemm = nullptr;
inline BlasGemm<double> blas_dgemm = nullptr;
// The processor that OpenBLAS chose its kernels for, by its own name ("Haswell"), and what these use of the levels
// known here. Empty, and trusted to use what there is, where BLAS does not tell.
inline std::string blas_core;
inline Isa blas_isa = Isa::avx512;

// Sets the threads of a BLAS that computes on OpenMP, for the calling thread only, by OpenMP's rules; else null. Python
// limits it to one around calls that several threads make, which does not reach the threads of the pool.
inline void (*blas_set_threads)(int) = nullptr;
inline void limit_blas_of_pool() {
    if (blas_set_threads != nullptr && thread_pool != nullptr && thread_pool->has_calling_thread()) blas_set_threads(1);
}

// Who computes float32 products. Not to be changed while one is computed.
enum class GemmChoice { automatic, blas, own };
inline GemmChoice gemm_choice = GemmChoice::automatic;

// Left to itself: the own kernel where it has wider vectors than those of BLAS.
inline bool gemm_is_own() {
    return gemm_choice == GemmChoice::own || (gemm_choice == GemmChoice::automatic && active_isa() > blas_isa);
}

}  // namespace fastcf
