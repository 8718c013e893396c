// Cost: 2 k floats fetched at random per pair, k multiply-adds; memory bound, so rows are prefetched some pairs ahead.
// Four sums in flight hide the multiply-add's latency; they are added pairwise, then across lanes.
#include "cpu/predict_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int64_t kAhead = 12, kLineFloats = 16;
constexpr int64_t kMaxFloats = 16 * kLineFloats;  // further lines are left to the hardware

FASTCF_INLINE float product(const float* a, const float* b, int64_t k) {
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

FASTCF_INLINE void prefetch(const float* row, int64_t k) {
    const int64_t end = k < kMaxFloats ? k : kMaxFloats;
    for (int64_t f = 0; f < end; f += kLineFloats) __builtin_prefetch(row + f);
}

void pair_products(const float* users, int64_t user_stride, const float* items, int64_t item_stride, int64_t k,
                   const int32_t* user_rows, const int32_t* item_rows, int64_t n, float* out) {
    for (int64_t e = 0; e < n; ++e) {
        if (e + kAhead < n && user_rows[e + kAhead] >= 0 && item_rows[e + kAhead] >= 0) {
            prefetch(users + user_rows[e + kAhead] * user_stride, k);
            prefetch(items + item_rows[e + kAhead] * item_stride, k);
        }
        const bool known = user_rows[e] >= 0 && item_rows[e] >= 0;
        out[e] = known ? product(users + user_rows[e] * user_stride, items + item_rows[e] * item_stride, k) : 0.0f;
    }
}

}  // namespace

extern const PredictKernels predict_kernels;
const PredictKernels predict_kernels = {pair_products};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
