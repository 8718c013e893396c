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

FASTCF_INLINE double square_root(double x) {
    return __builtin_sqrt(x);
}
FASTCF_INLINE float square_root(float x) {
    return __builtin_sqrtf(x);
}

enum class Into { set, add, subtract };

// C[i.., j..] = A[:, i..]' A[:, j..], or += or -=, for a tile of R x V vectors.
template <Into into, int R, int V, class T>
FASTCF_INLINE void tile(const T* a, long lda, long n, long i, long j, T* c, long ldc) {
    Vector<T> sums[R][V] = {};
    for (long r = 0; r < n; ++r) {
        const T* row = a + r * lda;
        Vector<T> right[V];
        for (int v = 0; v < V; ++v) right[v] = at(row + j + v * kSize<T>);
        for (int k = 0; k < R; ++k)
            for (int v = 0; v < V; ++v) sums[k][v] += row[i + k] * right[v];
    }
    for (int k = 0; k < R; ++k)
        for (int v = 0; v < V; ++v) {
            T* place = c + (i + k) * ldc + j + v * kSize<T>;
            if constexpr (into == Into::set)
                put(place, sums[k][v]);
            else if constexpr (into == Into::add)
                put(place, at(place) + sums[k][v]);
            else
                put(place, at(place) - sums[k][v]);
        }
}

// The V vectors of columns from j on, of the rows from `begin` (a multiple of four) to the diagonal.
template <Into into, int V, class T>
FASTCF_INLINE void tile_column(const T* a, long lda, long n, long begin, long j, T* c, long ldc) {
    const long end = j + V * kSize<T>;
    long i = begin;
    if constexpr (kTileRows > 4)
        if (i % kTileRows != 0) {
            tile<into, 4, V>(a, lda, n, i, j, c, ldc);
            i += 4;
        }
    for (; i < end; i += kTileRows) {
        const long below = i > j ? (i - j) / kSize<T> : 0;  // vectors of the tile that lie below the diagonal
        if (below == 0)
            tile<into, kTileRows, V>(a, lda, n, i, j, c, ldc);
        else if (V > 2 && below == 1)
            tile<into, kTileRows, (V > 2 ? V - 1 : 1)>(a, lda, n, i, j + kSize<T>, c, ldc);
        else
            tile<into, kTileRows, 1>(a, lda, n, i, end - kSize<T>, c, ldc);
    }
}

template <Into into, class T>
FASTCF_INLINE void block_gram(const T* a, long lda, long n, long p, long lead, T* c, long ldc) {
    const long begin = lead / 4 * 4;
    long j = lead / kSize<T> * kSize<T>;
    const long rest = (p - j) / kSize<T> % kTileVectors;  // to begin with, where the columns are short
    if (rest == 1) tile_column<into, 1>(a, lda, n, begin, j, c, ldc);
    if (rest == 2) tile_column<into, 2>(a, lda, n, begin, j, c, ldc);
    j += rest * kSize<T>;
    for (; j < p; j += kTileVectors * kSize<T>) tile_column<into, kTileVectors>(a, lda, n, begin, j, c, ldc);
}

template <class T>
void gram(const T* a, long lda, long n, long p, long lead, bool add, T* c, long ldc) {
    for (long first = 0; first < n; first += kBlockRows) {
        const long rows = n - first < kBlockRows ? n - first : kBlockRows;
        if (add || first > 0)
            block_gram<Into::add>(a + first * lda, lda, rows, p, lead, c, ldc);
        else
            block_gram<Into::set>(a, lda, rows, p, lead, c, ldc);
    }
}

// A block D = L D' L' of the diagonal, L with ones on its own, in registers where they are wide enough: writes the
// inverse of L D'^1/2 and its transpose. False where a pivot is too small.
template <class T>
FASTCF_INLINE bool invert_block(const T* block, long ldc, T tolerance, const T* begun, T* inverse) {
    constexpr int pad = VectorOf<T>::pad;
    typedef T Line __attribute__((vector_size(64), aligned(sizeof(T)), may_alias));
    Line rows[pad];
    T pivots[pad], factors[pad * pad];  // L'
#pragma GCC unroll 16
    for (int k = 0; k < pad; ++k) rows[k] = *reinterpret_cast<const Line*>(block + k * ldc);
    bool sound = true;
#pragma GCC unroll 16
    for (int k = 0; k < pad; ++k) {
        const T pivot = rows[k][k];
        pivots[k] = pivot;
        sound = sound && pivot > tolerance * begun[k] && pivot > 0;
        const Line scaled = rows[k] * (T{1} / pivot);
        *reinterpret_cast<Line*>(factors + k * pad) = scaled;
#pragma GCC unroll 16
        for (int i = k + 1; i < pad; ++i) rows[i] -= rows[k][i] * scaled;
    }
    for (int k = 0; k < pad; ++k) pivots[k] = T{1} / square_root(pivots[k]);
#pragma GCC unroll 16
    for (int i = 0; i < pad; ++i) {
        rows[i] = Line{};
        rows[i][i] = 1;
#pragma GCC unroll 16
        for (int k = 0; k < i; ++k) rows[i] -= factors[k * pad + i] * rows[k];
        *reinterpret_cast<Line*>(inverse + i * pad) = pivots[i] * rows[i];
    }
    for (int i = 0; i < pad; ++i)
        for (int k = 0; k < pad; ++k) inverse[(pad + k) * pad + i] = inverse[i * pad + k];
    return sound;
}

// A vector of each row of the panel from column j on, times the inverse of the block on the diagonal.
template <class T>
FASTCF_INLINE void eliminate(T* panel, long ldc, long j, const T* inverse) {
    constexpr long pad = VectorOf<T>::pad;
    Vector<T> rows[pad];
#pragma GCC unroll 16
    for (long k = 0; k < pad; ++k) rows[k] = at(panel + k * ldc + j);
#pragma GCC unroll 16
    for (long k = 0; k < pad; ++k) {
        Vector<T> even = inverse[k * pad] * rows[0], odd = {};
#pragma GCC unroll 16
        for (long m = 1; m <= k; m += 2) {
            odd += inverse[k * pad + m] * rows[m];
            if (m < k) even += inverse[k * pad + m + 1] * rows[m + 1];
        }
        put(panel + k * ldc + j, even + odd);
    }
}

template <class T>
bool cholesky(T* c, long ldc, long p, long lead, T tolerance, T* inverses) {
    constexpr long pad = VectorOf<T>::pad;
    for (long first = 0; first < p; first += pad) {
        T begun[pad];
        for (long k = 0; k < pad; ++k) begun[k] = c[(first + k) * ldc + first + k];
        const long above = first - lead;
        for (long i = first; above > 0 && i < first + pad; i += kTileRows) {
            const T* a = c + lead * ldc;
            long j = first, vectors = (p - j) / kSize<T>;
            if (vectors == 1) tile<Into::subtract, kTileRows, 1>(a, ldc, above, i, j, c, ldc);
            for (; vectors >= 2; vectors = (p - j) / kSize<T>) {
                // one vector alone would have to wait for its loads
                const bool two = kTileVectors == 2 || vectors == 2 || vectors == 4;
                if (two)
                    tile<Into::subtract, kTileRows, 2>(a, ldc, above, i, j, c, ldc);
                else
                    tile<Into::subtract, kTileRows, kTileVectors>(a, ldc, above, i, j, c, ldc);
                j += (two ? 2 : kTileVectors) * kSize<T>;
            }
            if (kTileVectors == 2 && vectors == 1 && j > first)
                tile<Into::subtract, kTileRows, 1>(a, ldc, above, i, j, c, ldc);
        }
        T* inverse = inverses + 2 * pad * first;
        if (!invert_block(c + first * ldc + first, ldc, tolerance, begun, inverse)) return false;
        for (long j = first + pad; j < p; j += kSize<T>) eliminate(c + first * ldc, ldc, j, inverse);
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

// out = M' x for a square block of the diagonal
template <class T>
FASTCF_INLINE void times_block(const T* block, const T* x, T* out) {
    constexpr long pad = VectorOf<T>::pad;
    Vector<T> even[pad / kSize<T>] = {}, odd[pad / kSize<T>] = {};
#pragma GCC unroll 16
    for (long k = 0; k < pad; k += 2)
        for (long v = 0; v < pad / kSize<T>; ++v) {
            even[v] += x[k] * at(block + k * pad + v * kSize<T>);
            odd[v] += x[k + 1] * at(block + (k + 1) * pad + v * kSize<T>);
        }
    for (long v = 0; v < pad / kSize<T>; ++v) put(out + v * kSize<T>, even[v] + odd[v]);
}

template <class T>
void solve(const T* u, long ldu, long p, const T* inverses, T* x) {
    constexpr long pad = VectorOf<T>::pad;
    T values[pad];
    for (long first = 0; first < p; first += pad) {
        const T* rows = u + first * ldu;
        times_block(inverses + 2 * pad * first + pad * pad, x + first, values);
        for (long k = 0; k < pad; ++k) x[first + k] = values[k];
        for (long j = first + pad; j < p; j += kSize<T>) {
            Vector<T> even = at(x + j), odd = {};
#pragma GCC unroll 16
            for (long k = 0; k < pad; k += 2) {
                even -= values[k] * at(rows + k * ldu + j);
                odd -= values[k + 1] * at(rows + (k + 1) * ldu + j);
            }
            put(x + j, even + odd);
        }
    }
    for (long first = p - pad; first >= 0; first -= pad) {
        const T* rows = u + first * ldu;
        Vector<T> sums[pad] = {};
        for (long j = first + pad; j < p; j += kSize<T>) {
            const Vector<T> right = at(x + j);
#pragma GCC unroll 16
            for (long k = 0; k < pad; ++k) sums[k] += right * at(rows + k * ldu + j);
        }
#pragma GCC unroll 16
        for (long k = 0; k < pad; ++k) values[k] = x[first + k] - added<T>(sums[k]);
        times_block(inverses + 2 * pad * first, values, x + first);
    }
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

// GCC 12 makes a detour through vectors of half the size of __builtin_convertvector.
FASTCF_INLINE Doubles widened(const float* p) {
#if defined(__AVX512F__)
    return (Doubles)_mm512_maskz_cvtps_pd(kAllPairs, _mm256_loadu_ps(p));
#elif defined(__AVX2__)
    return (Doubles)_mm256_cvtps_pd(_mm_loadu_ps(p));
#else
    return Doubles{static_cast<double>(p[0]), static_cast<double>(p[1])};
#endif
}

// Rows of float64 as they are, and rows of float32 as they are and less their centre.
struct PlainRows {
    const double* a;
    long lda;
    FASTCF_METHOD Doubles operator()(long r, long j) const { return at(a + r * lda + j); }
};
struct FloatRows {
    const float* a;
    long lda;
    FASTCF_METHOD Doubles operator()(long r, long j) const { return widened(a + r * lda + j); }
};
struct CentredRows {
    const float* a;
    long lda;
    const double* center;
    FASTCF_METHOD Doubles operator()(long r, long j) const { return widened(a + r * lda + j) - at(center + j); }
};

// The inner products of x with the rows from r on.
template <int count, class Rows>
FASTCF_INLINE void row_dots(const Rows& a, long r, long p, const double* x, double* out) {
    Doubles sums[count] = {};
    for (long j = 0; j < p; j += kDoubles) {
        const Doubles xs = at(x + j);
        for (int i = 0; i < count; ++i) sums[i] += a(r + i, j) * xs;
    }
    for (int i = 0; i < count; ++i) out[i] = added<double>(sums[i]);
}

template <class Rows>
FASTCF_INLINE void add_four(const Rows& a, long r, long p, const double* x, double* out) {
    const double x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
    for (long j = 0; j < p; j += kDoubles)
        put(out + j, at(out + j) + ((x0 * a(r, j) + x1 * a(r + 1, j)) + (x2 * a(r + 2, j) + x3 * a(r + 3, j))));
}
template <class Rows>
FASTCF_INLINE void add_one(const Rows& a, long r, long p, double x, double* out) {
    for (long j = 0; j < p; j += kDoubles) put(out + j, at(out + j) + x * a(r, j));
}

template <class Rows>
FASTCF_INLINE void all_times(const Rows& a, long n, long p, const double* x, double* out) {
    long r = 0;
    for (; r + 4 <= n; r += 4) row_dots<4>(a, r, p, x, out + r);
    for (; r < n; ++r) row_dots<1>(a, r, p, x, out + r);
}

template <class Rows>
FASTCF_INLINE void add_transposed(const Rows& a, long n, long p, const double* x, double* out) {
    long r = 0;
    for (; r + 4 <= n; r += 4) add_four(a, r, p, x + r, out);
    for (; r < n; ++r) add_one(a, r, p, x[r], out);
}

void center_scale_narrow(const double* a, long lda, long n, long p, const double* center, const double* scale,
                         float* out, long ldo) {
    const long lead = ldo - p;
    for (long r = 0; r < n; ++r) {
        const double *from = a + r * lda, factor = scale[r];
        float* to = out + r * ldo;
        for (long j = 0; j < lead; ++j) to[j] = 0;
        for (long j = 0; j < p; ++j) to[lead + j] = static_cast<float>(factor * (from[j] - center[j]));
    }
}

void times(const double* a, long lda, long n, long p, const double* x, double* out) {
    all_times(PlainRows{a, lda}, n, p, x, out);
}
void centred_times(const float* a, long lda, long n, const double* center, const double* x, double* out) {
    all_times(CentredRows{a, lda, center}, n, lda, x, out);
}

void transposed_times(const double* a, long lda, long n, long p, const double* x, double* out) {
    for (long j = 0; j < p; ++j) out[j] = 0;
    add_transposed(PlainRows{a, lda}, n, p, x, out);
}
void add_centred_transposed(const float* a, long lda, long n, const double* center, const double* x, double* out) {
    if (center == nullptr)
        add_transposed(FloatRows{a, lda}, n, lda, x, out);
    else
        add_transposed(CentredRows{a, lda, center}, n, lda, x, out);
}

// Four rows together: x and out are loaded, and out stored, once for the four, which stay in the first-level cache.
void weighted_residuals(const float* a, long lda, long n, const double* center, const double* weight,
                        const double* target, const double* x, double* out) {
    const CentredRows rows{a, lda, center};
    for (long j = 0; j < lda; ++j) out[j] = 0;
    long r = 0;
    double residuals[4];
    for (; r + 4 <= n; r += 4) {
        row_dots<4>(rows, r, lda, x, residuals);
        for (int i = 0; i < 4; ++i) residuals[i] = weight[r + i] * (target[r + i] - residuals[i]);
        add_four(rows, r, lda, residuals, out);
    }
    for (; r < n; ++r) {
        row_dots<1>(rows, r, lda, x, residuals);
        add_one(rows, r, lda, weight[r] * (target[r] - residuals[0]), out);
    }
}

// p is at least a line, so that nothing is read outside of a row; what a store has too many, the next one overwrites.
void gather(const float* table, long ld, const int* items, long n, long p, float* out, long ldo) {
    constexpr long ahead = 8;  // rows
    const long lead = ldo - p, head = kRegressionFloatPad - lead;
    for (long r = 0; r < n; ++r) {
        if (r + ahead < n)
            for (long j = 0; j < p; j += 16) __builtin_prefetch(table + items[r + ahead] * ld + j);
        const float* from = table + items[r] * ld;
        float* to = out + r * ldo;
        for (long j = 0; j < lead; j += kLanes) store(to + j, broadcast(0));
        for (long j = 0; j < head; j += kLanes) store(to + lead + j, load(from + j));
        for (long j = head; j < p; j += kLanes) store(to + lead + j, load(from + j));
    }
}

void center_scale(const float* a, long lda, long n, const float* center, const float* scale, float* out) {
    for (long r = 0; r < n; ++r)
        for (long j = 0; j < lda; j += kSize<float>)
            put(out + r * lda + j, scale[r] * (at(a + r * lda + j) - at(center + j)));
}

void add_transposed_floats(const float* a, long lda, long n, const float* x, float* out) {
    long r = 0;
    for (; r + 4 <= n; r += 4) {
        const float* row = a + r * lda;
        for (long j = 0; j < lda; j += kSize<float>)
            put(out + j, at(out + j) + ((x[r] * at(row + j) + x[r + 1] * at(row + lda + j)) +
                                        (x[r + 2] * at(row + 2 * lda + j) + x[r + 3] * at(row + 3 * lda + j))));
    }
    for (; r < n; ++r)
        for (long j = 0; j < lda; j += kSize<float>) put(out + j, at(out + j) + x[r] * at(a + r * lda + j));
}

void transpose(const float* a, long lda, long n, long begin, const float* zeros, float* out, long ldo) {
    const long lead = ldo - n;
    for (long first = 0; first < ldo; first += kLanes) {
        const float* rows[kLanes];
        for (long i = 0; i < kLanes; ++i) rows[i] = first + i < lead ? zeros : a + (first + i - lead) * lda;
        for (long j = begin; j < lda; j += 4) {
            Vec columns[4];
            load_columns4(rows, j, columns);
            for (long i = 0; i < 4; ++i) store(out + (j - begin + i) * ldo + first, columns[i]);
        }
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
const RegressionKernels regression_kernels = {widen,
                                              shift_scale,
                                              times,
                                              transposed_times,
                                              dot<double>,
                                              rotate,
                                              gram<double>,
                                              cholesky<double>,
                                              solve<double>,
                                              gather,
                                              center_scale,
                                              center_scale_narrow,
                                              transpose,
                                              add_transposed_floats,
                                              centred_times,
                                              add_centred_transposed,
                                              weighted_residuals,
                                              gram<float>,
                                              cholesky<float>,
                                              solve<float>};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
