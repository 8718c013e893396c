// The symmetric product is made of tiles, kTileRows x two vectors, whose sums stay in registers while the block's
// ratings pass: per rating a tile needs kTileRows broadcasts and two loads for 2 kTileRows multiply-adds.
#include "cpu/als_kernels.h"

#include "cpu/vec.h"
#include "math/als.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int64_t kTileRows = kLanes == 16 ? 8 : 4;
constexpr int64_t kAhead = 8;  // rows fetched ahead
constexpr int64_t kPanel = 4;  // pivots whose updates are applied together

FASTCF_INLINE Vec load_tail(const float* p, int64_t left) {
    return left >= kLanes ? load(p) : load_first(p, static_cast<int>(left));
}

void pack(const float* const* rows, const float* w, const float* wt, int64_t n, int64_t k, int64_t stride,
          float* packed, float* weighted, float* sums, float* target_sums) {
    for (int64_t d = 0; d < n; ++d) {
        if (d + kAhead < n)
            for (int64_t f = 0; f < k; f += 16) __builtin_prefetch(rows[d + kAhead] + f);
        const Vec weight = broadcast(w[d]), target = broadcast(wt[d]);
        const float* row = rows[d];
        for (int64_t f = 0; f < k; f += kLanes) {
            const Vec q = load_tail(row + f, k - f);
            const Vec wq = weight * q;
            store(packed + d * stride + f, q);
            store(weighted + d * stride + f, wq);
            store(sums + f, load(sums + f) + wq);
            store(target_sums + f, fma(target, q, load(target_sums + f)));
        }
        for (int64_t f = (k + kLanes - 1) / kLanes * kLanes; f < stride; ++f)
            packed[d * stride + f] = weighted[d * stride + f] = 0.0f;
    }
}

template <int kVecs>
FASTCF_INLINE void add_tile(const float* packed, const float* weighted, int64_t n, int64_t stride, float* products,
                            int64_t ld) {
    Vec sums[kTileRows][kVecs];
    for (int64_t r = 0; r < kTileRows; ++r)
        for (int v = 0; v < kVecs; ++v) sums[r][v] = load(products + r * ld + v * kLanes);
    for (int64_t d = 0; d < n; ++d, packed += stride, weighted += stride) {
        Vec q[kVecs];
        for (int v = 0; v < kVecs; ++v) q[v] = load(packed + v * kLanes);
        for (int64_t r = 0; r < kTileRows; ++r) {
            const Vec w = broadcast(weighted[r]);
            for (int v = 0; v < kVecs; ++v) sums[r][v] = fma(w, q[v], sums[r][v]);
        }
    }
    for (int64_t r = 0; r < kTileRows; ++r)
        for (int v = 0; v < kVecs; ++v) store(products + r * ld + v * kLanes, sums[r][v]);
}

void add_products(const float* packed, const float* weighted, int64_t n, int64_t stride, float* products, int64_t ld) {
    for (int64_t row = 0; row < stride; row += kTileRows) {
        int64_t column = row / kLanes * kLanes;
        for (; column + 2 * kLanes <= stride; column += 2 * kLanes)
            add_tile<2>(packed + column, weighted + row, n, stride, products + row * ld + column, ld);
        if (column < stride) add_tile<1>(packed + column, weighted + row, n, stride, products + row * ld + column, ld);
    }
}

// row[from, end) += factor * other[from, end), whole vectors.
FASTCF_INLINE void add_row(float* row, float factor, const float* other, int64_t from, int64_t end) {
    const Vec f = broadcast(factor);
    for (int64_t c = from; c < end; c += kLanes) store(row + c, fma(f, load(other + c), load(row + c)));
}

void factorise(float* a, int64_t d, int64_t ld, float* inverse) {
    const int64_t width = (d + 1 + kLanes - 1) / kLanes * kLanes;
    for (int64_t j = 0; j < d; ++j) inverse[j] = a[j * ld + j];
    for (int64_t first = 0; first < d; first += kPanel) {
        const int64_t last = first + kPanel < d ? first + kPanel : d;
        for (int64_t j = first; j < last; ++j) {
            float* row = a + j * ld;
            const int64_t from = j / kLanes * kLanes;
            for (int64_t p = first; p < j; ++p) add_row(row, -a[p * ld + j], a + p * ld, from, width);
            const float pivot = row[j];
            const float root = pivot > kSmallestPivot * inverse[j] ? __builtin_sqrtf(pivot) : 0.0f;
            inverse[j] = root > 0.0f ? 1.0f / root : 0.0f;
            const Vec scale = broadcast(inverse[j]);
            for (int64_t c = from; c < width; c += kLanes) store(row + c, scale * load(row + c));
            for (int64_t c = from; c < j; ++c) row[c] = 0.0f;
        }
        if (last - first < kPanel) break;  // the last rows
        const float* p0 = a + first * ld;
        const float *p1 = p0 + ld, *p2 = p1 + ld, *p3 = p2 + ld;
        for (int64_t i = last; i < d; ++i) {
            float* row = a + i * ld;
            const Vec f0 = broadcast(-p0[i]), f1 = broadcast(-p1[i]), f2 = broadcast(-p2[i]), f3 = broadcast(-p3[i]);
            for (int64_t c = i / kLanes * kLanes; c < width; c += kLanes) {
                const Vec one = fma(f0, load(p0 + c), load(row + c)), two = f1 * load(p1 + c);
                store(row + c, fma(f2, load(p2 + c), one) + fma(f3, load(p3 + c), two));
            }
        }
    }
}

void scale_add(float* a, float scale, const float* other, int64_t d, int64_t ld) {
    const Vec factor = broadcast(scale);
    for (int64_t i = 0; i < d; ++i, a += ld, other += ld)
        for (int64_t c = i / kLanes * kLanes; c < ld; c += kLanes)
            store(a + c, fma(factor, load(a + c), load(other + c)));
}

// In blocks of kLanes unknowns: first what the unknowns after the block contribute, all rows at once, then the triangle
// on the diagonal, whose chain of dependent operations is one multiplication and one subtraction per unknown.
void back_substitute(const float* a, int64_t d, int64_t ld, const float* inverse, const float* noise, float* x) {
    for (int64_t c = 0; c < ld; ++c) x[c] = 0.0f;
    for (int64_t first = (d - 1) / kLanes * kLanes; first >= 0; first -= kLanes) {
        const float* rows = a + first * ld;
        const int64_t count = d - first < kLanes ? d - first : kLanes;
        float values[kLanes];
        for (int64_t i = 0; i < count; ++i) {
            const float* row = rows + i * ld;
            values[i] = noise == nullptr ? row[d] : row[d] + noise[first + i];
            if (first + kLanes >= d) continue;
            Vec products = broadcast(0.0f);
            for (int64_t c = first + kLanes; c < d; c += kLanes) products = fma(load(row + c), load(x + c), products);
            values[i] -= sum(products);
        }
        if (count == kLanes) {
#pragma GCC unroll 16
            for (int64_t i = kLanes - 1; i >= 0; --i) {
                values[i] *= inverse[first + i];
#pragma GCC unroll 16
                for (int64_t above = 0; above < i; ++above) values[above] -= values[i] * rows[above * ld + first + i];
            }
        } else {
            for (int64_t i = count - 1; i >= 0; --i) {
                values[i] *= inverse[first + i];
                for (int64_t above = 0; above < i; ++above) values[above] -= values[i] * rows[above * ld + first + i];
            }
        }
        for (int64_t i = 0; i < count; ++i) x[first + i] = values[i];
    }
}

void row_products(const float* const* rows, int64_t n, int64_t k, float scale, float shift, float* products,
                  int64_t ld) {
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = i; j < n; ++j) {
            Vec sums = broadcast(0.0f);
            for (int64_t f = 0; f < k; f += kLanes)
                sums = fma(load_tail(rows[i] + f, k - f), load_tail(rows[j] + f, k - f), sums);
            products[i * ld + j] = scale * sum(sums) + shift;
        }
    }
}

void row_dots(const float* const* rows, int64_t n, int64_t k, const float* x, float* out) {
    for (int64_t e = 0; e < n; ++e) {
        Vec sums = broadcast(0.0f);
        for (int64_t f = 0; f < k; f += kLanes)
            sums = fma(load_tail(rows[e] + f, k - f), load_tail(x + f, k - f), sums);
        out[e] = sum(sums);
    }
}

void add_combination(const float* const* rows, const float* c, int64_t n, int64_t k, float* out) {
    int64_t f = 0;
    for (; f + kLanes <= k; f += kLanes) {
        Vec even = load(out + f), odd = broadcast(0.0f);
        int64_t e = 0;
        for (; e + 2 <= n; e += 2) {
            even = fma(broadcast(c[e]), load(rows[e] + f), even);
            odd = fma(broadcast(c[e + 1]), load(rows[e + 1] + f), odd);
        }
        if (e < n) even = fma(broadcast(c[e]), load(rows[e] + f), even);
        store(out + f, even + odd);
    }
    for (; f < k; ++f)
        for (int64_t e = 0; e < n; ++e) out[f] += c[e] * rows[e][f];
}

// Four ratings together: x and out are loaded, and out stored, once for the four.
template <bool kWhole>
FASTCF_INLINE float add_four(const float* const* rows, const float* w, const float* t, int64_t k, const float* x,
                             float x_bias, float* out) {
    const auto get = [k](const float* row, int64_t f) { return kWhole ? load(row + f) : load_tail(row + f, k - f); };
    Vec sums[4] = {broadcast(0.0f), broadcast(0.0f), broadcast(0.0f), broadcast(0.0f)};
    for (int64_t f = 0; f < k; f += kLanes) {
        const Vec xs = load(x + f);
        for (int e = 0; e < 4; ++e) sums[e] = fma(get(rows[e], f), xs, sums[e]);
    }
    float factors[4];
    for (int e = 0; e < 4; ++e) factors[e] = w[e] * (t[e] - sum(sums[e]) - x_bias);
    const Vec f0 = broadcast(factors[0]), f1 = broadcast(factors[1]);
    const Vec f2 = broadcast(factors[2]), f3 = broadcast(factors[3]);
    for (int64_t f = 0; f < k; f += kLanes) {
        const Vec two = fma(f1, get(rows[1], f), fma(f0, get(rows[0], f), load(out + f)));
        store(out + f, fma(f3, get(rows[3], f), fma(f2, get(rows[2], f), two)));
    }
    return (factors[0] + factors[1]) + (factors[2] + factors[3]);
}

FASTCF_INLINE float add_one(const float* row, float w, float t, int64_t k, const float* x, float x_bias, float* out) {
    Vec products = broadcast(0.0f);
    for (int64_t f = 0; f < k; f += kLanes) products = fma(load_tail(row + f, k - f), load(x + f), products);
    const float factor = w * (t - sum(products) - x_bias);
    const Vec scale = broadcast(factor);
    for (int64_t f = 0; f < k; f += kLanes) store(out + f, fma(scale, load_tail(row + f, k - f), load(out + f)));
    return factor;
}

float add_residuals(const float* const* rows, const float* w, const float* t, int64_t n, int64_t k, const float* x,
                    float x_bias, float* out) {
    const bool whole = k % kLanes == 0;
    float total = 0.0f;
    int64_t e = 0;
    for (; e + 4 <= n; e += 4) {
        for (int64_t ahead = e + kAhead; ahead < e + kAhead + 4 && ahead < n; ++ahead)
            for (int64_t f = 0; f < k; f += 16) __builtin_prefetch(rows[ahead] + f);
        total += whole ? add_four<true>(rows + e, w + e, t + e, k, x, x_bias, out)
                       : add_four<false>(rows + e, w + e, t + e, k, x, x_bias, out);
    }
    for (; e < n; ++e) total += add_one(rows[e], w[e], t[e], k, x, x_bias, out);
    return total;
}

// Preconditioned conjugate gradients. The matrix is applied and never made.
void iterate(const AlsIteration& row, float* x, float* work) {
    const int64_t k = row.k, stride = (k + 15) / 16 * 16;
    float *const residual = work, *const direction = work + stride, *const product = work + 2 * stride,
                 *const penalty = work + 3 * stride, *const scale = work + 4 * stride;
    const Vec zero = broadcast(0.0f), one = broadcast(1.0f), reg = broadcast(row.reg);
    const Vec precision = broadcast(row.precision), weight = broadcast(row.precision * row.weight_sum);
    for (int64_t f = 0; f < stride; f += kLanes) {
        store(residual + f, zero);
        if (row.diagonal == nullptr) {
            store(penalty + f, reg);
            store(scale + f, one);
        } else {
            const Vec own = reg + load(row.diagonal + f);
            store(penalty + f, own);
            store(scale + f, one / fma(weight, load(row.expected + f), own));
        }
    }
    add_residuals(row.rows, row.w, row.t, row.n, k, x, 0.0f, residual);
    Vec sizes = zero;
    for (int64_t f = 0; f < stride; f += kLanes) {
        const Vec left = precision * load(residual + f) - load(penalty + f) * load(x + f);
        const Vec scaled = load(scale + f) * left;
        store(residual + f, left);
        store(direction + f, scaled);
        sizes = fma(left, scaled, sizes);
    }
    float size = sum(sizes);
    const float enough = 1e-12f * size;
    for (int step = 0; step < row.steps && size > 0.0f && size >= enough; ++step) {
        for (int64_t f = 0; f < stride; f += kLanes) store(product + f, zero);
        add_residuals(row.rows, row.w, row.zeros, row.n, k, direction, 0.0f, product);
        Vec curvatures = zero;
        for (int64_t f = 0; f < stride; f += kLanes) {
            const Vec along = load(direction + f);
            const Vec image = load(penalty + f) * along - precision * load(product + f);
            store(product + f, image);
            curvatures = fma(along, image, curvatures);
        }
        const float curvature = sum(curvatures);
        if (!(curvature > 0.0f)) break;
        const Vec length = broadcast(size / curvature);
        sizes = zero;
        for (int64_t f = 0; f < stride; f += kLanes) {
            store(x + f, fma(length, load(direction + f), load(x + f)));
            const Vec left = load(residual + f) - length * load(product + f);
            store(residual + f, left);
            sizes = fma(left * load(scale + f), left, sizes);
        }
        const float next = sum(sizes);
        const Vec share = broadcast(next / size);
        for (int64_t f = 0; f < stride; f += kLanes)
            store(direction + f, fma(share, load(direction + f), load(scale + f) * load(residual + f)));
        size = next;
    }
}

}  // namespace

extern const AlsKernels als_kernels;
const AlsKernels als_kernels = {pack,         add_products, scale_add,       factorise,     back_substitute,
                                row_products, row_dots,     add_combination, add_residuals, iterate};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
