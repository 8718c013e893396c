// Ratings of a row are taken in blocks: inner products, then losses and errors as plain loops over the block (vector
// code), then the sum of factor rows, which are in L1 by then. Bound by fetching factor rows: 4 k bytes per rating;
// they are prefetched some ratings ahead, across the ends of rows.
#include "cpu/mf_gradient_kernels.h"

#include "cpu/vec.h"
#include "math/dot.h"
#include "math/loss.h"
#include "math/mf.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int kBlock = 32, kAhead = 16, kLine = 64;
constexpr int64_t kMaxBytes = 16 * kLine;  // further lines are left to the hardware

template <class T>
FASTCF_INLINE void prefetch_row(const MfRow<T>& row, int64_t j) {
    if (j >= row.readable) return;
    const char* p = reinterpret_cast<const char*>(row.rows + row.indices[j] * row.stride);
    const int64_t bytes = row.k * static_cast<int64_t>(sizeof(T));
    for (int64_t b = 0; b < bytes && b < kMaxBytes; b += kLine) __builtin_prefetch(p + b);
}

using fastcf::dot;  // of float64; of float32, which training takes:
FASTCF_INLINE float dot(const float* a, const float* b, int64_t k) {
    Vec s0 = broadcast(0.0f), s1 = s0, s2 = s0, s3 = s0;
    int64_t f = 0;
    for (; f + 4 * kLanes <= k; f += 4 * kLanes) {
        s0 = fma(load(a + f), load(b + f), s0);
        s1 = fma(load(a + f + kLanes), load(b + f + kLanes), s1);
        s2 = fma(load(a + f + 2 * kLanes), load(b + f + 2 * kLanes), s2);
        s3 = fma(load(a + f + 3 * kLanes), load(b + f + 3 * kLanes), s3);
    }
    for (; f + kLanes <= k; f += kLanes) s0 = fma(load(a + f), load(b + f), s0);
    if (f < k) {
        const int left = static_cast<int>(k - f);
        s1 = fma(load_first(a + f, left), load_first(b + f, left), s1);
    }
    return sum((s0 + s1) + (s2 + s3));
}

// gradient += sum over m ratings of e[j] times the factor row.
FASTCF_INLINE void add_rows(const MfRow<float>& row, const int32_t* indices, const float* e, int m, float* gradient) {
    const float* rows = row.rows;
    const int64_t stride = row.stride, k = row.k;
    int64_t f = 0;
    for (; f + 4 * kLanes <= k; f += 4 * kLanes) {
        float* g = gradient + f;
        Vec g0 = load(g), g1 = load(g + kLanes), g2 = load(g + 2 * kLanes), g3 = load(g + 3 * kLanes);
        for (int j = 0; j < m; ++j) {
            const Vec w = broadcast(e[j]);
            const float* r = rows + indices[j] * stride + f;
            g0 = fma(w, load(r), g0);
            g1 = fma(w, load(r + kLanes), g1);
            g2 = fma(w, load(r + 2 * kLanes), g2);
            g3 = fma(w, load(r + 3 * kLanes), g3);
        }
        store(g, g0);
        store(g + kLanes, g1);
        store(g + 2 * kLanes, g2);
        store(g + 3 * kLanes, g3);
    }
    for (; f + kLanes <= k; f += kLanes) {
        Vec g = load(gradient + f);
        for (int j = 0; j < m; ++j) g = fma(broadcast(e[j]), load(rows + indices[j] * stride + f), g);
        store(gradient + f, g);
    }
    if (f < k) {
        const int left = static_cast<int>(k - f);
        Vec g = load_first(gradient + f, left);
        for (int j = 0; j < m; ++j) g = fma(broadcast(e[j]), load_first(rows + indices[j] * stride + f, left), g);
        float lanes[kLanes];
        store(lanes, g);
        for (int lane = 0; lane < left; ++lane) gradient[f + lane] = lanes[lane];
    }
}

FASTCF_INLINE void add_rows(const MfRow<double>& row, const int32_t* indices, const double* e, int m,
                            double* __restrict gradient) {
    for (int j = 0; j < m; ++j) {
        const double* __restrict r = row.rows + indices[j] * row.stride;
        for (int64_t f = 0; f < row.k; ++f) gradient[f] += e[j] * r[f];
    }
}

// z of m ratings from the start-th on.
template <class T>
FASTCF_INLINE void predictions(const MfRow<T>& row, int64_t start, int m, T* z) {
    for (int j = 0; j < m; ++j) {
        prefetch_row(row, start + j + kAhead);
        const int64_t i = row.indices[start + j];
        z[j] = mf_prediction(row.offset ? row.offset[i] : row.global_offset, row.own_bias,
                             row.bias ? row.bias[i] : T(0), dot(row.own, row.rows + i * row.stride, row.k));
    }
}

template <class T, bool LOGISTIC>
FASTCF_INLINE void losses(const T* __restrict z, const T* __restrict y, int m, T* __restrict loss, T* __restrict e) {
    for (int j = 0; j < m; ++j) {
        if constexpr (LOGISTIC)
            loss[j] = logistic_loss(z[j], y[j], e + j);
        else
            loss[j] = squared_loss(z[j], y[j], e + j);
    }
}

// Eight sums in flight, in float64.
template <class T>
FASTCF_INLINE double sum_of(const T* x, int m) {
    double s[8] = {};
    int j = 0;
    for (; j + 8 <= m; j += 8)
        for (int lane = 0; lane < 8; ++lane) s[lane] += static_cast<double>(x[j + lane]);
    for (; j < m; ++j) s[0] += static_cast<double>(x[j]);
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

template <class T>
double start(T reg, const T* factors, int64_t k, T* __restrict gradient) {
    [[maybe_unused]] const FlushDenormals flush;
    for (int64_t f = 0; f < k; ++f) gradient[f] = reg * factors[f];
    return reg == T(0) ? 0.0 : static_cast<double>(reg) * squared_norm(factors, k);
}

template <class T>
double forward(const MfRow<T>& row, const T* values, const T* weights, T* errors, T* gradient, T* error_sum) {
    [[maybe_unused]] const FlushDenormals flush;
    double total = 0, total_error = 0;
    alignas(64) T z[kBlock], loss[kBlock];
    for (int64_t start = 0; start < row.n; start += kBlock) {
        const int m = static_cast<int>(row.n - start < kBlock ? row.n - start : kBlock);
        T* e = errors + start;
        predictions(row, start, m, z);
        if (row.logistic)
            losses<T, true>(z, values + start, m, loss, e);
        else
            losses<T, false>(z, values + start, m, loss, e);
        if (weights)
            for (int j = 0; j < m; ++j) {
                loss[j] *= weights[start + j];
                e[j] *= weights[start + j];
            }
        total += sum_of(loss, m);
        total_error += sum_of(e, m);
        add_rows(row, row.indices + start, e, m, gradient);
    }
    *error_sum += static_cast<T>(total_error);
    return total;
}

template <class T>
void backward(const MfRow<T>& row, const T* errors, const int64_t* entries, T* gradient, T* error_sum) {
    [[maybe_unused]] const FlushDenormals flush;
    double total = 0;
    alignas(64) T e[kBlock];
    for (int64_t start = 0; start < row.n; start += kBlock) {
        const int m = static_cast<int>(row.n - start < kBlock ? row.n - start : kBlock);
        for (int j = 0; j < m; ++j) {  // a block ahead: where the errors stand, and the factors
            if (entries && start + j + kBlock < row.readable) __builtin_prefetch(errors + entries[start + j + kBlock]);
            prefetch_row(row, start + j + kBlock);
            e[j] = errors[entries ? entries[start + j] : start + j];
        }
        total += sum_of(e, m);
        add_rows(row, row.indices + start, e, m, gradient);
    }
    *error_sum += static_cast<T>(total);
}

template <class T>
void predict(const MfRow<T>& row, T* out) {
    [[maybe_unused]] const FlushDenormals flush;
    for (int64_t start = 0; start < row.n; start += kBlock) {
        const int m = static_cast<int>(row.n - start < kBlock ? row.n - start : kBlock);
        predictions(row, start, m, out + start);
        if (row.logistic)
            for (int j = 0; j < m; ++j) out[start + j] = sigmoid(out[start + j]);
    }
}

}  // namespace

extern const MfKernels mf_kernels;
const MfKernels mf_kernels = {{start<float>, forward<float>, backward<float>, predict<float>},
                              {start<double>, forward<double>, backward<double>, predict<double>}};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
