// Cost: bound by the multipliers; n p^2 / 2 multiply-adds for the Gram matrix and p^3 / 6 for Cholesky, whose trailing
// updates are Gram matrices of as many rows as a panel has. A tile of C stays in registers while the rows of A stream
// through it.
#include "cpu/regression_vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr int kTileRows = 8, kTileVectors = 3;
#elif defined(__AVX2__)
constexpr int kTileRows = 4, kTileVectors = 3;
#else
constexpr int kTileRows = 4, kTileVectors = 2;
#endif
constexpr long kBlockRows = 64;  // rows of A that stay in the first-level cache while tiles pass over them

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

}  // namespace

extern const FactorKernels factor_kernels;
const FactorKernels factor_kernels = {gram<double>, cholesky<double>, solve<double>,
                                      gram<float>,  cholesky<float>,  solve<float>};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
