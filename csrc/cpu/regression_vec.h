// Vectors of the kernels of regressions, of either precision. Only for *_kernels.cpp, like vec.h.
#pragma once

#include "cpu/regression_kernels.h"
#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
// A vector at any address; GCC and Clang know its arithmetic, and fuse multiply-adds where they exist.
typedef double Doubles __attribute__((vector_size(kBytes), aligned(8), may_alias));
typedef float Floats __attribute__((vector_size(kBytes), aligned(4), may_alias));

template <class T>
struct VectorOf;
template <>
struct VectorOf<double> {
    using Type = Doubles;
    static constexpr long pad = kRegressionPad;
};
template <>
struct VectorOf<float> {
    using Type = Floats;
    static constexpr long pad = kRegressionFloatPad;
};
template <class T>
using Vector = typename VectorOf<T>::Type;
template <class T>
constexpr long kSize = kBytes / sizeof(T);  // numbers in a vector
constexpr int kDoubles = kSize<double>;

template <class T>
FASTCF_INLINE Vector<T> at(const T* p) {
    return *reinterpret_cast<const Vector<T>*>(p);
}
template <class T>
FASTCF_INLINE void put(T* p, Vector<T> v) {
    *reinterpret_cast<Vector<T>*>(p) = v;
}
// The sum of the lanes, by halves.
template <class T, int size>
FASTCF_INLINE T added_lanes(const T* v) {
    if constexpr (size * sizeof(T) <= 16) {
        T total = v[0] + v[size / 2];
        for (int i = 1; i < size / 2; ++i) total += v[i] + v[size / 2 + i];
        return total;
    } else {
        typedef T Half __attribute__((vector_size(size / 2 * sizeof(T)), aligned(sizeof(T)), may_alias));
        const Half sum = *reinterpret_cast<const Half*>(v) + *reinterpret_cast<const Half*>(v + size / 2);
        return added_lanes<T, size / 2>(reinterpret_cast<const T*>(&sum));
    }
}
template <class T>
FASTCF_INLINE T added(Vector<T> v) {
    return added_lanes<T, kSize<T>>(reinterpret_cast<const T*>(&v));
}

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
