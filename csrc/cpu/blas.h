// The BLAS in use: functions of SciPy's, handed over when the module is loaded, so that there is no second one to
// install; and which products are its.
#pragma once

#include <string>

#include "core/isa.h"

namespace fastcf {

template <class T>
using BlasGemm = void (*)(char* transpose_a, char* transpose_b, int* m, int* n, int* k, T* alpha, T* a, int* a_stride,
                          T* b, int* b_stride, T* beta, T* c, int* c_stride);

inline BlasGemm<float> blas_sgemm = nullptr;
inline BlasGemm<double> blas_dgemm = nullptr;
// The processor that OpenBLAS chose its kernels for, by its own name ("Haswell"); empty where BLAS does not tell.
inline std::string blas_core;

// Who computes float32 products. Not to be changed while one is computed.
enum class GemmChoice { automatic, blas, own };
inline GemmChoice gemm_choice = GemmChoice::automatic;

// Left to itself: the own kernel where it has wider vectors than those of BLAS. OpenBLAS falls back to kernels of older
// processors on those that it does not know, and where it was built for few; one that does not tell is trusted.
inline bool gemm_is_own() {
    if (gemm_choice != GemmChoice::automatic) return gemm_choice == GemmChoice::own;
    for (const char* const core : {"Haswell", "Zen", "Excavator"})
        if (blas_core == core) return active_isa() > Isa::avx2;
    for (const char* const core : {"Prescott", "Core2", "Nehalem", "Sandybridge"})
        if (blas_core == core) return active_isa() > Isa::baseline;
    return false;
}

}  // namespace fastcf
