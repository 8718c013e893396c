// Cost: bound by the multipliers; n p^2 / 2 multiply-adds for the Gram matrix and p^3 / 6 for Cholesky, whose trailing
// updates are Gram matrices of as many rows as a panel has. A tile of C stays in registers while the rows of A stream
// through it.
#include "cpu/regression_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64, kTileRows = 8, kTileVectors = 3;
#elif defined(__AVX2__)
constexpr int kBytes = 32, kTileRows = 4, kTileVectors = 3;
#else
constexpr int kBytes = 16, kTileRows = 4, kTileVectors = 2;
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

constexpr long kBlockRows = 64;  // rows of A that stay in the first-level cache while tiles pass over them

template <class T>
FASTCF_INLINE Vector<T> at(const T* p) {
    return *reinterpret_cast<const Vector<T>*>(p);
}
template <class T>
FASTCF_INLINE void put(T* p, Vector<T> v) {
    *reinterpret_cast<Vector<T>*>(p) = v;
}
template <class T>
FASTCF_INLINE T added(Vector<T> v) {
    T total = 0;
    for (int i = 0; i < kSize<T>; ++i) total += v[i];
    return total;
}

FASTCF_INLINE double square_root(double x) {
    return __builtin_sqrt(x);
}
FASTCF_INLINE float square_root(float x) {
    return __builtin_sqrtf(x);
}

// C[i.., j..] += sign * A[:, i..]' A[:, j..] for a tile of kTileRows x V vectors.
template <int V, class T>
FASTCF_INLINE void tile(const T* a, long lda, long n, long i, long j, T* c, long ldc, T sign) {
    Vector<T> sums[kTileRows][V] = {};
    for (long r = 0; r < n; ++r) {
        const T* row = a + r * lda;
        Vector<T> right[V];
        for (int v = 0; v < V; ++v) right[v] = at(row + j + v * kSize<T>);
        for (int k = 0; k < kTileRows; ++k)
            for (int v = 0; v < V; ++v) sums[k][v] += row[i + k] * right[v];
    }
    for (int k = 0; k < kTileRows; ++k)
        for (int v = 0; v < V; ++v) {
            T* place = c + (i + k) * ldc + j + v * kSize<T>;
            put(place, at(place) + sign * sums[k][v]);
        }
}

template <int V, class T>
FASTCF_INLINE void tile_column(const T* a, long lda, long n, long j, T* c, long ldc, T sign) {
    const long end = j + V * kSize<T>;  // tiles further down lie below the diagonal
    for (long i = 0; i < end; i += kTileRows) {
        const long below = i > j ? (i - j) / kSize<T> : 0;  // vectors of the tile that lie below the diagonal
        if (below == 0)
            tile<V>(a, lda, n, i, j, c, ldc, sign);
        else if (V > 2 && below == 1)
            tile<(V > 2 ? V - 1 : 1)>(a, lda, n, i, j + kSize<T>, c, ldc, sign);
        else
            tile<1>(a, lda, n, i, end - kSize<T>, c, ldc, sign);
    }
}

template <class T>
FASTCF_INLINE void add_gram(const T* a, long lda, long n, long p, T* c, long ldc, T sign) {
    for (long first = 0; first < n; first += kBlockRows) {
        const T* block = a + first * lda;
        const long rows = n - first < kBlockRows ? n - first : kBlockRows;
        long j = 0;
        for (; j + kTileVectors * kSize<T> <= p; j += kTileVectors * kSize<T>)
            tile_column<kTileVectors>(block, lda, rows, j, c, ldc, sign);
        for (; j < p; j += kSize<T>) tile_column<1>(block, lda, rows, j, c, ldc, sign);
    }
}

template <class T>
void gram(const T* a, long lda, long n, long p, T* c, long ldc) {
    add_gram(a, lda, n, p, c, ldc, T{1});
}

// A vector of each row of the panel from column j on: the rows above, of the panel, are eliminated from each, in turn.
template <class T>
FASTCF_INLINE void eliminate(T* panel, long ldc, long first, long j, const T* scales) {
    constexpr long pad = VectorOf<T>::pad;
    Vector<T> rows[pad];
#pragma GCC unroll 16
    for (long k = 0; k < pad; ++k) {
        Vector<T> even = at(panel + k * ldc + j), odd = {};
#pragma GCC unroll 16
        for (long m = 0; m + 1 < k; m += 2) {
            even -= panel[m * ldc + first + k] * rows[m];
            odd -= panel[(m + 1) * ldc + first + k] * rows[m + 1];
        }
        if (k % 2 == 1) even -= panel[(k - 1) * ldc + first + k] * rows[k - 1];
        rows[k] = scales[k] * (even + odd);
        put(panel + k * ldc + j, rows[k]);
    }
}

template <class T>
bool cholesky(T* c, long ldc, long p, T tolerance, T* diagonal) {
    constexpr long pad = VectorOf<T>::pad;
    for (long k = 0; k < p; ++k) diagonal[k] = c[k * ldc + k];
    for (long first = 0; first < p; first += pad) {
        const long end = first + pad;
        T scales[pad];
        for (long k = first; k < end; ++k) {  // the block on the diagonal
            T* row = c + k * ldc;
            for (long m = first; m < k; ++m) {
                const T* above = c + m * ldc;
                const T factor = above[k];
                for (long j = first; j < end; j += kSize<T>) put(row + j, at(row + j) - factor * at(above + j));
            }
            const T pivot = row[k];
            if (!(pivot > tolerance * diagonal[k]) || !(pivot > 0)) return false;
            scales[k - first] = T{1} / square_root(pivot);
            for (long j = first; j < end; j += kSize<T>) put(row + j, scales[k - first] * at(row + j));
        }
        for (long j = end; j < p; j += kSize<T>) eliminate(c + first * ldc, ldc, first, j, scales);
        add_gram(c + first * ldc + end, ldc, pad, p - end, c + end * ldc + end, ldc, T{-1});
    }
    return true;
}

template <class T>
T dot(const T* x, const T* y, long n) {
    constexpr long size = kSize<T>;
    Vector<T> s0 = {}, s1 = {}, s2 = {}, s3 = {};
    long j = 0;
    for (; j + 4 * size <= n; j += 4 * size) {
        s0 += at(x + j) * at(y + j);
        s1 += at(x + j + size) * at(y + j + size);
        s2 += at(x + j + 2 * size) * at(y + j + 2 * size);
        s3 += at(x + j + 3 * size) * at(y + j + 3 * size);
    }
    for (; j + size <= n; j += size) s0 += at(x + j) * at(y + j);
    T total = added<T>((s0 + s1) + (s2 + s3));
    for (; j < n; ++j) total += x[j] * y[j];
    return total;
}

// Blocks of rows, in registers as far as the compiler manages: a load that straddles what was just stored would wait.
template <class T>
void solve(const T* u, long ldu, long p, T* x) {
    constexpr long pad = VectorOf<T>::pad;
    T values[pad], inverse[pad];
    for (long first = 0; first < p; first += pad) {
        const T* rows = u + first * ldu;
        for (long k = 0; k < pad; ++k) inverse[k] = T{1} / rows[k * ldu + first + k];
        for (long k = 0; k < pad; ++k) values[k] = x[first + k];
#pragma GCC unroll 16
        for (long k = 0; k < pad; ++k) {
            values[k] *= inverse[k];
#pragma GCC unroll 16
            for (long j = k + 1; j < pad; ++j) values[j] -= values[k] * rows[k * ldu + first + j];
        }
        for (long k = 0; k < pad; ++k) x[first + k] = values[k];
        for (long j = first + pad; j < p; j += kSize<T>) {
            Vector<T> even = at(x + j), odd = {};
            for (long k = 0; k < pad; k += 2) {
                even -= values[k] * at(rows + k * ldu + j);
                odd -= values[k + 1] * at(rows + (k + 1) * ldu + j);
            }
            put(x + j, even + odd);
        }
    }
    for (long first = p - pad; first >= 0; first -= pad) {
        const T* rows = u + first * ldu;
        for (long k = 0; k < pad; ++k) inverse[k] = T{1} / rows[k * ldu + first + k];
        for (long k = 0; k < pad; ++k)
            values[k] = x[first + k] - dot(rows + k * ldu + first + pad, x + first + pad, p - first - pad);
#pragma GCC unroll 16
        for (long k = pad - 1; k >= 0; --k) {
            values[k] *= inverse[k];
#pragma GCC unroll 16
            for (long i = 0; i < k; ++i) values[i] -= values[k] * rows[i * ldu + first + k];
        }
        for (long k = 0; k < pad; ++k) x[first + k] = values[k];
    }
}

void narrow(const double* a, long lda, long n, long p, float* out, long ldo) {
    for (long r = 0; r < n; ++r) {
        const double* from = a + r * lda;
        float* to = out + r * ldo;
        for (long j = 0; j < p; ++j) to[j] = static_cast<float>(from[j]);
        for (long j = p; j < ldo; ++j) to[j] = 0;
    }
}

void narrow_transposed(const double* a, long lda, long n, long p, float* out, long ldo) {
    for (long first = 0; first < ldo; first += kRegressionFloatPad)  // a cache line of each row of `out`
        for (long j = 0; j < p; ++j)
            for (long r = first; r < first + kRegressionFloatPad; ++r)
                out[j * ldo + r] = r < n ? static_cast<float>(a[r * lda + j]) : 0.0f;
}

void widen(const float* row, long p, long padded, double* out) {
    for (long j = 0; j < p; ++j) out[j] = static_cast<double>(row[j]);
    for (long j = p; j < padded; ++j) out[j] = 0;
}

void shift_scale(const double* a, long lda, long n, long p, const double* center, const double* scale, double* out) {
    for (long r = 0; r < n; ++r) {
        const double* from = a + r * lda;
        double* to = out + r * lda;
        const double factor = scale != nullptr ? scale[r] : 1.0;
        if (center != nullptr)
            for (long j = 0; j < p; j += kDoubles) put(to + j, factor * (at(from + j) - at(center + j)));
        else
            for (long j = 0; j < p; j += kDoubles) put(to + j, factor * at(from + j));
    }
}

void times(const double* a, long lda, long n, long p, const double* x, double* out) {
    for (long r = 0; r < n; ++r) out[r] = dot(a + r * lda, x, p);
}

void transposed_times(const double* a, long lda, long n, long p, const double* x, double* out) {
    for (long j = 0; j < p; ++j) out[j] = 0;
    long r = 0;
    for (; r + 4 <= n; r += 4) {
        const double* row = a + r * lda;
        const double x0 = x[r], x1 = x[r + 1], x2 = x[r + 2], x3 = x[r + 3];
        for (long j = 0; j < p; j += kDoubles)
            put(out + j, at(out + j) + ((x0 * at(row + j) + x1 * at(row + lda + j)) +
                                        (x2 * at(row + 2 * lda + j) + x3 * at(row + 3 * lda + j))));
    }
    for (; r < n; ++r)
        for (long j = 0; j < p; j += kDoubles) put(out + j, at(out + j) + x[r] * at(a + r * lda + j));
}

// Four rows together: x and out are loaded, and out stored, once for the four.
void transposed_residuals(const double* a, long lda, long n, long p, const double* target, const double* x,
                          double* out) {
    for (long j = 0; j < p; ++j) out[j] = 0;
    long r = 0;
    for (; r + 4 <= n; r += 4) {
        const double *a0 = a + r * lda, *a1 = a0 + lda, *a2 = a1 + lda, *a3 = a2 + lda;
        Doubles s0 = {}, s1 = {}, s2 = {}, s3 = {};
        for (long j = 0; j < p; j += kDoubles) {
            const Doubles xs = at(x + j);
            s0 += at(a0 + j) * xs;
            s1 += at(a1 + j) * xs;
            s2 += at(a2 + j) * xs;
            s3 += at(a3 + j) * xs;
        }
        const double r0 = target[r] - added<double>(s0), r1 = target[r + 1] - added<double>(s1);
        const double r2 = target[r + 2] - added<double>(s2), r3 = target[r + 3] - added<double>(s3);
        for (long j = 0; j < p; j += kDoubles)
            put(out + j, at(out + j) + ((r0 * at(a0 + j) + r1 * at(a1 + j)) + (r2 * at(a2 + j) + r3 * at(a3 + j))));
    }
    for (; r < n; ++r) {
        const double* row = a + r * lda;
        const double residual = target[r] - dot(row, x, p);
        for (long j = 0; j < p; j += kDoubles) put(out + j, at(out + j) + residual * at(row + j));
    }
}

void rotate(double* x, double* y, long n, double c, double s) {
    for (long j = 0; j < n; ++j) {
        const double old = x[j];
        x[j] = c * old - s * y[j];
        y[j] = s * old + c * y[j];
    }
}

}  // namespace

extern const RegressionKernels regression_kernels;
const RegressionKernels regression_kernels = {widen,       narrow,           narrow_transposed,    shift_scale,
                                              times,       transposed_times, transposed_residuals, dot<double>,
                                              rotate,      gram<double>,     cholesky<double>,     solve<double>,
                                              gram<float>, cholesky<float>,  solve<float>};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
