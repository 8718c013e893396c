// Cost: bound by the multipliers; n p^2 / 2 multiply-adds for the Gram matrix and p^3 / 6 for Cholesky, whose trailing
// updates are Gram matrices of eight rows. A tile of C stays in registers while the rows of A stream through it.
#include "cpu/regression_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr int kDoubles = 8, kTileRows = 8, kTileVectors = 3;
#elif defined(__AVX2__)
constexpr int kDoubles = 4, kTileRows = 4, kTileVectors = 3;
#else
constexpr int kDoubles = 2, kTileRows = 4, kTileVectors = 2;
#endif
// A vector of doubles at any address; GCC and Clang know its arithmetic, and fuse multiply-adds where they exist.
typedef double Doubles __attribute__((vector_size(8 * kDoubles), aligned(8), may_alias));

constexpr long kBlockRows = 64;  // rows of A that stay in the first-level cache while tiles pass over them

FASTCF_INLINE Doubles at(const double* p) {
    return *reinterpret_cast<const Doubles*>(p);
}
FASTCF_INLINE void put(double* p, Doubles v) {
    *reinterpret_cast<Doubles*>(p) = v;
}
FASTCF_INLINE double added(Doubles v) {
    double total = 0;
    for (int i = 0; i < kDoubles; ++i) total += v[i];
    return total;
}

// C[i.., j..] += sign * A[:, i..]' A[:, j..] for a tile of kTileRows x V vectors.
template <int V>
FASTCF_INLINE void tile(const double* a, long lda, long n, long i, long j, double* c, long ldc, double sign) {
    Doubles sums[kTileRows][V] = {};
    for (long r = 0; r < n; ++r) {
        const double* row = a + r * lda;
        Doubles right[V];
        for (int v = 0; v < V; ++v) right[v] = at(row + j + v * kDoubles);
        for (int k = 0; k < kTileRows; ++k)
            for (int v = 0; v < V; ++v) sums[k][v] += row[i + k] * right[v];
    }
    for (int k = 0; k < kTileRows; ++k)
        for (int v = 0; v < V; ++v) {
            double* place = c + (i + k) * ldc + j + v * kDoubles;
            put(place, at(place) + sign * sums[k][v]);
        }
}

template <int V>
FASTCF_INLINE void tile_column(const double* a, long lda, long n, long j, double* c, long ldc, double sign) {
    const long end = j + V * kDoubles;  // tiles further down lie below the diagonal
    for (long i = 0; i < end; i += kTileRows) {
        const long below = i > j ? (i - j) / kDoubles : 0;  // vectors of the tile that lie below the diagonal
        if (below == 0)
            tile<V>(a, lda, n, i, j, c, ldc, sign);
        else if (V > 2 && below == 1)
            tile<(V > 2 ? V - 1 : 1)>(a, lda, n, i, j + kDoubles, c, ldc, sign);
        else
            tile<1>(a, lda, n, i, end - kDoubles, c, ldc, sign);
    }
}

FASTCF_INLINE void add_gram(const double* a, long lda, long n, long p, double* c, long ldc, double sign) {
    for (long first = 0; first < n; first += kBlockRows) {
        const double* block = a + first * lda;
        const long rows = n - first < kBlockRows ? n - first : kBlockRows;
        long j = 0;
        for (; j + kTileVectors * kDoubles <= p; j += kTileVectors * kDoubles)
            tile_column<kTileVectors>(block, lda, rows, j, c, ldc, sign);
        for (; j < p; j += kDoubles) tile_column<1>(block, lda, rows, j, c, ldc, sign);
    }
}

void gram(const double* a, long lda, long n, long p, double* c, long ldc) {
    add_gram(a, lda, n, p, c, ldc, 1.0);
}

bool cholesky(double* c, long ldc, long p, double tolerance, double* diagonal) {
    for (long k = 0; k < p; ++k) diagonal[k] = c[k * ldc + k];
    for (long first = 0; first < p; first += kRegressionPad) {
        const long end = first + kRegressionPad;
        for (long k = first; k < end; ++k) {
            double* row = c + k * ldc;
            for (long m = first; m < k; ++m) {
                const double* above = c + m * ldc;
                const double factor = above[k];
                for (long j = first; j < p; j += kDoubles) put(row + j, at(row + j) - factor * at(above + j));
            }
            const double pivot = row[k];
            if (!(pivot > tolerance * diagonal[k]) || !(pivot > 0)) return false;
            const double scale = 1.0 / __builtin_sqrt(pivot);
            for (long j = first; j < p; j += kDoubles) put(row + j, scale * at(row + j));
        }
        add_gram(c + first * ldc + end, ldc, kRegressionPad, p - end, c + end * ldc + end, ldc, -1.0);
    }
    return true;
}

double dot(const double* x, const double* y, long n) {
    Doubles s0 = {}, s1 = {}, s2 = {}, s3 = {};
    long j = 0;
    for (; j + 4 * kDoubles <= n; j += 4 * kDoubles) {
        s0 += at(x + j) * at(y + j);
        s1 += at(x + j + kDoubles) * at(y + j + kDoubles);
        s2 += at(x + j + 2 * kDoubles) * at(y + j + 2 * kDoubles);
        s3 += at(x + j + 3 * kDoubles) * at(y + j + 3 * kDoubles);
    }
    for (; j + kDoubles <= n; j += kDoubles) s0 += at(x + j) * at(y + j);
    double total = added((s0 + s1) + (s2 + s3));
    for (; j < n; ++j) total += x[j] * y[j];
    return total;
}

void solve(const double* u, long ldu, long p, double* x) {
    for (long k = 0; k < p; ++k) {
        const double* row = u + k * ldu;
        const double value = x[k] / row[k];
        x[k] = value;
        for (long j = k + 1; j < p; ++j) x[j] -= value * row[j];
    }
    for (long k = p; k-- > 0;) {
        const double* row = u + k * ldu;
        x[k] = (x[k] - dot(row + k + 1, x + k + 1, p - k - 1)) / row[k];
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

void rotate(double* x, double* y, long n, double c, double s) {
    for (long j = 0; j < n; ++j) {
        const double old = x[j];
        x[j] = c * old - s * y[j];
        y[j] = s * old + c * y[j];
    }
}

}  // namespace

extern const RegressionKernels regression_kernels;
const RegressionKernels regression_kernels = {widen,    shift_scale, times, transposed_times, dot, gram,
                                              cholesky, solve,       rotate};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
