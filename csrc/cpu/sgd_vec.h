// What the kernels of stochastic gradient descent share: how many rows advance together, and sums of their products.
// Only for *_kernels.cpp, like vec.h.
#pragma once

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {

// Four floats at every level: one lane per interleaved run.
typedef float f4 __attribute__((vector_size(16), aligned(4), may_alias));

// The sums of the lanes of four vectors: one transposed reduction instead of four single ones.
FASTCF_INLINE f4 row_sums4(Vec a, Vec b, Vec c, Vec d) {
#if defined(__AVX512F__)
    const __m512d ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
    const __m512d cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
    const Vec abcd =
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
#elif defined(__AVX2__)
    const __m256d ab = _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)));
    const __m256d cd = _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)));
    const Vec abcd =
        _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
    return _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1));
#else
    return f4{sum(a), sum(b), sum(c), sum(d)};
#endif
}

// User rows of interleaved runs live in registers while NV * U stays within half of them; the other half is for the
// item row, the broadcasts and the accumulators. Beyond that they are worked on in L1.
// Measured on a prototype of this loop, AVX-512, one core of a busy machine, 10 M ratings, best epoch: k = 64: 4 runs
// 168 M ratings/s, 5 runs 164, 6 runs 116 (spills); k = 128: 2 runs 62 to 65, 3 runs 56 (spills).
constexpr int kMostResident = kLanes == 16 ? 16 : 8;
constexpr int kRowAlign = 16;
constexpr int kPerBlock = kRowAlign / int{kLanes};
constexpr int kBlocks = kLanes == 8 ? 8 : 1;  // of rows of any length, unrolled

constexpr int interleave_of(int nv) {
    return nv > 0 && nv * 4 > kMostResident && nv * 2 <= kMostResident ? 2 : 4;
}

template <int U>
FASTCF_INLINE f4 row_sums(const Vec (&acc)[U]) {
    return row_sums4(acc[0], acc[U > 1 ? 1 : 0], acc[U > 2 ? 2 : 0], acc[U > 3 ? 3 : 0]);
}

// The number of vectors of a row when it has a kernel of its own, else 0. With four lanes longer rows fill the
// processor as well by blocks of four vectors, and their kernels would take a third of the time that this file
// compiles.
constexpr int own(long nv) {
    return nv <= (kLanes == 4 ? 2 : 8) * kPerBlock ? static_cast<int>(nv) : 0;
}

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
