// Cost: passes over a row's features, a few multiply-adds for each number loaded.
#include "cpu/regression_vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

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

FASTCF_INLINE void fetch_ahead(const float* table, long ld, const int* items, long r, long known, long p) {
    constexpr long ahead = 8;  // rows
    if (r + ahead >= known) return;
    for (long j = 0; j < p; j += 16) __builtin_prefetch(table + items[r + ahead] * ld + j);
}

void gather_wide(const float* table, long ld, const int* items, long n, long p, double* out, long ldo) {
    for (long r = 0; r < n; ++r) {
        fetch_ahead(table, ld, items, r, n, p);
        const float* from = table + items[r] * ld;
        double* to = out + r * ldo;
        long j = 0;
        for (; j + kDoubles <= p; j += kDoubles) put(to + j, widened(from + j));
        for (; j < p; ++j) to[j] = static_cast<double>(from[j]);
        for (; j < ldo; ++j) to[j] = 0;
    }
}

// p is at least a line, so that nothing is read outside of a row; what a store has too many, the next one overwrites.
void gather(const float* table, long ld, const int* items, long n, long known, long p, float* out, long ldo) {
    const long lead = ldo - p, head = kRegressionFloatPad - lead;
    for (long r = 0; r < n; ++r) {
        fetch_ahead(table, ld, items, r, known, p);
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
const RegressionKernels regression_kernels = {gather_wide,
                                              shift_scale,
                                              times,
                                              transposed_times,
                                              dot<double>,
                                              rotate,

                                              gather,
                                              center_scale,
                                              center_scale_narrow,
                                              transpose,
                                              add_transposed_floats,
                                              centred_times,
                                              add_centred_transposed,
                                              weighted_residuals};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
