// Sums of four vectors of columns stay in registers while the entries pass: an index, a value and four fetches of a
// vector for four multiply-adds, bound by the fetches from the second-level cache.
#include "cpu/item_scores_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int kHeld = 4;
constexpr int kStrip = kHeld * kLanes;
constexpr int kLine = 16;  // floats

// The sums of kStrip columns. While rows are read as they lie, the next strip is asked for.
template <bool kAhead>
FASTCF_INLINE void strip(const WeightedRows& rows, int64_t column, Vec (&sums)[kHeld]) {
    for (int h = 0; h < kHeld; ++h) sums[h] = broadcast(0.0f);
    for (int64_t e = 0; e < rows.n; ++e) {
        const float* row = rows.weights + rows.indices[e] * rows.stride + column;
        const Vec value = broadcast(rows.values[e]);
        if constexpr (kAhead)
            for (int f = 0; f < kStrip; f += kLine) __builtin_prefetch(row + kStrip + f);
        for (int h = 0; h < kHeld; ++h) sums[h] = fma(value, load(row + h * kLanes), sums[h]);
    }
}

FASTCF_INLINE Vec some_columns(const WeightedRows& rows, int64_t column, int count) {
    Vec sum = broadcast(0.0f);
    for (int64_t e = 0; e < rows.n; ++e)
        sum = fma(broadcast(rows.values[e]), load_first(rows.weights + rows.indices[e] * rows.stride + column, count),
                  sum);
    return sum;
}

void row(const WeightedRows& rows, int64_t cols, float* out) {
    int64_t column = 0;
    Vec sums[kHeld];
    for (; column + kStrip <= cols; column += kStrip) {
        strip<true>(rows, column, sums);
        for (int h = 0; h < kHeld; ++h) store(out + column + h * kLanes, sums[h]);
    }
    for (; column < cols; column += kLanes) {
        const int count = static_cast<int>(cols - column < kLanes ? cols - column : kLanes);
        store_first(out + column, some_columns(rows, column, count), count);
    }
}

uint64_t panel(const WeightedRows& rows, float threshold, float* out) {
    const Vec limit = broadcast(threshold);
    uint64_t hits = 0;
    Vec sums[kHeld];
    for (int column = 0; column < kItemPanel; column += kStrip) {
        strip<false>(rows, column, sums);
        for (int h = 0; h < kHeld; ++h) {
            const int first = column + h * kLanes;
            store(out + first, sums[h]);
            hits |= static_cast<uint64_t>(bits(not_le(sums[h], limit))) << first;
        }
    }
    return hits;
}

float pair(const WeightedRows& rows) {
    Vec sum = broadcast(0.0f);
    for (int64_t e = 0; e < rows.n; ++e)
        sum = fma(broadcast(rows.values[e]), broadcast(rows.weights[rows.indices[e] * rows.stride]), sum);
    float lanes[kLanes];
    store(lanes, sum);
    return lanes[0];
}

}  // namespace

extern const ItemScoresKernels item_scores_kernels;
const ItemScoresKernels item_scores_kernels = {row, panel, pair};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
