// One float vector of the instruction set that a kernel file is compiled for, and the dozen operations kernels need.
// Only for *_kernels.cpp: everything is local to FASTCF_ISA_NAMESPACE and always inlined (see core/isa.h).
//
// fma() is fused on AVX2 and AVX-512, whose results therefore agree bit for bit where the order of operations does not
// depend on the lane count; the baseline multiplies and adds.
#pragma once

#include <stdint.h>

#include "core/isa.h"

#if FASTCF_X86
#include <immintrin.h>
#endif

#define FASTCF_INLINE static inline __attribute__((always_inline))
#define FASTCF_METHOD inline __attribute__((always_inline))

namespace fastcf::FASTCF_ISA_NAMESPACE {

#if defined(__AVX512F__)

using Vec = __m512;
using Mask = __mmask16;
constexpr int kLanes = 16;
// Unmasked forms of these instructions make GCC 12 warn about its own headers; a full mask compiles to the same code.
constexpr __mmask8 kAllPairs = 0xff;
constexpr __mmask16 kAll = 0xffff;

FASTCF_INLINE Vec load(const float* p) {
    return _mm512_loadu_ps(p);
}
FASTCF_INLINE Vec load_first(const float* p, int count) {  // the other lanes are zero
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), p);
}
FASTCF_INLINE void store(float* p, Vec v) {
    _mm512_storeu_ps(p, v);
}
FASTCF_INLINE void store_first(float* p, Vec v, int count) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), v);
}
FASTCF_INLINE Vec broadcast(float x) {
    return _mm512_set1_ps(x);
}
FASTCF_INLINE Vec fma(Vec a, Vec b, Vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
FASTCF_INLINE Mask not_le(Vec a, Vec b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ);
}  // true for NaN
FASTCF_INLINE Mask either(Mask a, Mask b) {
    return _kor_mask16(a, b);
}
FASTCF_INLINE Mask no_lanes() {
    return 0;
}
FASTCF_INLINE bool any(Mask m) {
    return m != 0;
}
FASTCF_INLINE uint32_t bits(Mask m) {
    return m;
}
FASTCF_INLINE float sum(Vec v) {
    const __m256 half =
        _mm256_add_ps(_mm512_maskz_extractf32x8_ps(kAllPairs, v, 0), _mm512_maskz_extractf32x8_ps(kAllPairs, v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
// Four columns of kLanes rows, starting at `offset`: lane i of the result c is rows[i][offset + c].
template <class Rows>
FASTCF_INLINE void load_columns4(Rows rows, int64_t offset, Vec* columns) {
    Vec r[4];
    for (int j = 0; j < 4; ++j) {
        Vec v = _mm512_castps128_ps512(_mm_loadu_ps(rows[j] + offset));
        v = _mm512_insertf32x4(v, _mm_loadu_ps(rows[j + 4] + offset), 1);
        v = _mm512_insertf32x4(v, _mm_loadu_ps(rows[j + 8] + offset), 2);
        r[j] = _mm512_insertf32x4(v, _mm_loadu_ps(rows[j + 12] + offset), 3);
    }
    const __m512d ab_low = _mm512_castps_pd(_mm512_maskz_unpacklo_ps(kAll, r[0], r[1]));
    const __m512d ab_high = _mm512_castps_pd(_mm512_maskz_unpackhi_ps(kAll, r[0], r[1]));
    const __m512d cd_low = _mm512_castps_pd(_mm512_maskz_unpacklo_ps(kAll, r[2], r[3]));
    const __m512d cd_high = _mm512_castps_pd(_mm512_maskz_unpackhi_ps(kAll, r[2], r[3]));
    columns[0] = _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(kAllPairs, ab_low, cd_low));
    columns[1] = _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(kAllPairs, ab_low, cd_low));
    columns[2] = _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(kAllPairs, ab_high, cd_high));
    columns[3] = _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(kAllPairs, ab_high, cd_high));
}

#elif defined(__AVX2__)

using Vec = __m256;
using Mask = __m256;
constexpr int kLanes = 8;

FASTCF_INLINE Vec load(const float* p) {
    return _mm256_loadu_ps(p);
}
FASTCF_INLINE __m256i first_lanes(int count) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
}
FASTCF_INLINE Vec load_first(const float* p, int count) {
    return _mm256_maskload_ps(p, first_lanes(count));
}
FASTCF_INLINE void store(float* p, Vec v) {
    _mm256_storeu_ps(p, v);
}
FASTCF_INLINE void store_first(float* p, Vec v, int count) {
    _mm256_maskstore_ps(p, first_lanes(count), v);
}
FASTCF_INLINE Vec broadcast(float x) {
    return _mm256_set1_ps(x);
}
FASTCF_INLINE Vec fma(Vec a, Vec b, Vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
FASTCF_INLINE Mask not_le(Vec a, Vec b) {
    return _mm256_cmp_ps(a, b, _CMP_NLE_UQ);
}
FASTCF_INLINE Mask either(Mask a, Mask b) {
    return _mm256_or_ps(a, b);
}
FASTCF_INLINE Mask no_lanes() {
    return _mm256_setzero_ps();
}
FASTCF_INLINE uint32_t bits(Mask m) {
    return static_cast<uint32_t>(_mm256_movemask_ps(m));
}
FASTCF_INLINE bool any(Mask m) {
    return bits(m) != 0;
}
FASTCF_INLINE float sum(Vec v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
template <class Rows>
FASTCF_INLINE void load_columns4(Rows rows, int64_t offset, Vec* columns) {
    Vec r[4];
    for (int j = 0; j < 4; ++j)
        r[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[j] + offset)),
                                    _mm_loadu_ps(rows[j + 4] + offset), 1);
    const __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1]));
    const __m256d ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
    const __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3]));
    const __m256d cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
    columns[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
    columns[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
    columns[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
    columns[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
}

#else  // four lanes of the compiler's own vectors: SSE2, NEON or plain code

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));
constexpr int kLanes = 4;

FASTCF_INLINE Vec load(const float* p) {
    Vec v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
FASTCF_INLINE Vec load_first(const float* p, int count) {
    Vec v = {};
    for (int lane = 0; lane < count; ++lane) v[lane] = p[lane];
    return v;
}
FASTCF_INLINE void store(float* p, Vec v) {
    __builtin_memcpy(p, &v, sizeof v);
}
FASTCF_INLINE void store_first(float* p, Vec v, int count) {
    for (int lane = 0; lane < count; ++lane) p[lane] = v[lane];
}
FASTCF_INLINE Vec broadcast(float x) {
    return Vec{x, x, x, x};
}
FASTCF_INLINE Vec fma(Vec a, Vec b, Vec c) {
    return a * b + c;
}
FASTCF_INLINE Mask not_le(Vec a, Vec b) {
    return ~(a <= b);
}
FASTCF_INLINE Mask either(Mask a, Mask b) {
    return a | b;
}
FASTCF_INLINE Mask no_lanes() {
    return Mask{};
}
FASTCF_INLINE uint32_t bits(Mask m) {
#if defined(__SSE2__)
    __m128 lanes;
    __builtin_memcpy(&lanes, &m, sizeof lanes);
    return static_cast<uint32_t>(_mm_movemask_ps(lanes));
#else
    return (m[0] & 1u) | (m[1] & 2u) | (m[2] & 4u) | (m[3] & 8u);
#endif
}
FASTCF_INLINE bool any(Mask m) {
    return bits(m) != 0;
}
FASTCF_INLINE float sum(Vec v) {
    return (v[0] + v[2]) + (v[1] + v[3]);
}
template <class Rows>
FASTCF_INLINE void load_columns4(Rows rows, int64_t offset, Vec* columns) {
    const Vec a = load(rows[0] + offset), b = load(rows[1] + offset);
    const Vec c = load(rows[2] + offset), d = load(rows[3] + offset);
    for (int j = 0; j < 4; ++j) columns[j] = Vec{a[j], b[j], c[j], d[j]};
}

#endif

// fma() as an argument of formulas.
struct MultiplyAdd {
    FASTCF_METHOD Vec operator()(Vec a, Vec b, Vec c) const { return fma(a, b, c); }
};

// Penalties shrink factors that nothing supports until they are denormal, where arithmetic is far slower: while one of
// these lives, they become zero instead. 40 epochs of SGD on 90,000 sparse ratings with 27,000 rows: 0.77 s before,
// 0.10 s with this.
class FlushDenormals {
  public:
#if FASTCF_X86
    FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(saved_); }
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;

  private:
    unsigned saved_;
#endif
};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
