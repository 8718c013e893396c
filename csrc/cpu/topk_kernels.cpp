// Cost: a tile of R users and two vectors of items does 2 R multiply-adds per factor from two panel loads and R
// broadcasts, so the multipliers bound it (R = 14 fills the 32 registers of AVX-512, R = 6 the 16 of AVX2 and SSE);
// the comparison adds 2 R instructions per panel. Scores reach memory only for panels with a hit.
#include "cpu/topk_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int kWidth = 2 * kLanes;
constexpr int kLineFloats = 16;
constexpr int kFarFloats = 12 << 10;  // 48 KiB, what memory sends while it is waited for

struct StridedRows {
    const float* first;
    int64_t stride;
    FASTCF_METHOD const float* operator[](int row) const { return first + row * stride; }
};

#if defined(__AVX512F__)
constexpr int kTile = 14;
#else
constexpr int kTile = 6;
#endif
static_assert(kWidth <= kMaxPanelWidth && kTile <= kMaxTileUsers);

// True when a score is not <= its user's threshold: then scores and hits are written (cpu/topk_kernels.h).
template <int R>
FASTCF_INLINE bool report(const Vec* low, const Vec* high, const float* thresholds, float* scores, uint32_t* hits) {
    Mask above = no_lanes();
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
        const Vec threshold = broadcast(thresholds[r]);
        above = either(above, either(not_le(low[r], threshold), not_le(high[r], threshold)));
    }
    if (!any(above)) return false;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
        const Vec threshold = broadcast(thresholds[r]);
        store(scores + r * kWidth, low[r]);
        store(scores + r * kWidth + kLanes, high[r]);
        hits[r] = bits(not_le(low[r], threshold)) | (bits(not_le(high[r], threshold)) << kLanes);
    }
    return true;
}

template <int R>
int64_t scan(const float* users, int64_t k, const float* panels, const float* bias, int64_t n_panels, int64_t start,
             const float* thresholds, float* scores, uint32_t* hits) {
    for (int64_t panel = start; panel < n_panels; ++panel) {
        Vec low[R], high[R];
        const Vec bias_low = load(bias + panel * kWidth), bias_high = load(bias + panel * kWidth + kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            low[r] = bias_low;
            high[r] = bias_high;
        }
        const float* item = panels + panel * k * kWidth;
        const float* user = users;
        for (int64_t f = 0; f < k; ++f) {
            const Vec item_low = load(item), item_high = load(item + kLanes);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                const Vec factor = broadcast(user[r]);
                low[r] = fma(factor, item_low, low[r]);
                high[r] = fma(factor, item_high, high[r]);
            }
            item += kWidth;
            user += R;
        }
        if (!report<R>(low, high, thresholds, scores, hits)) continue;
        return panel;
    }
    return n_panels;
}

template <int R>
int64_t scan_rows(const float* users, int64_t k, const float* items, const float* bias, int64_t n_panels, int64_t start,
                  const float* thresholds, float* scores, uint32_t* hits) {
    for (int64_t panel = start; panel < n_panels; ++panel) {
        Vec low[R], high[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            low[r] = load(bias + panel * kWidth);
            high[r] = load(bias + panel * kWidth + kLanes);
        }
        const float* upper = items + panel * kWidth * k;
        const float* lower = upper + kLanes * k;
        // Prefetched in address order, far ahead into the second-level cache and the next panel into the first: either
        // alone leaves the processor waiting. Past the end that does no harm.
        const float* next = lower + kLanes * k;
        int64_t f = 0;
        for (; f + 4 <= k; f += 4) {
            for (int64_t line = f * kWidth; line < (f + 4) * kWidth; line += kLineFloats) {
                __builtin_prefetch(next + kFarFloats + line, 0, 2);
                __builtin_prefetch(next + line);
            }
            Vec columns[4];
            load_columns4(StridedRows{upper, k}, f, columns);
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j)
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) low[r] = fma(broadcast(users[(f + j) * R + r]), columns[j], low[r]);
            load_columns4(StridedRows{lower, k}, f, columns);
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j)
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) high[r] = fma(broadcast(users[(f + j) * R + r]), columns[j], high[r]);
        }
        for (; f < k; ++f) {
            float column[kWidth];
            for (int lane = 0; lane < kWidth; ++lane) column[lane] = upper[lane * k + f];
            for (int r = 0; r < R; ++r) {
                low[r] = fma(broadcast(users[f * R + r]), load(column), low[r]);
                high[r] = fma(broadcast(users[f * R + r]), load(column + kLanes), high[r]);
            }
        }
        if (report<R>(low, high, thresholds, scores, hits)) return panel;
    }
    return n_panels;
}

void pack(const float* const* rows, int count, int64_t k, float* panel) {
    const float* row[kWidth];
    for (int lane = 0; lane < count; ++lane) row[lane] = rows[lane];
    for (int lane = count; lane < kWidth; ++lane) row[lane] = rows[0];
    int64_t f = 0;
    for (; f + 4 <= k; f += 4) {
        for (int half = 0; half < kWidth; half += kLanes) {
            Vec columns[4];
            load_columns4(row + half, f, columns);
            for (int j = 0; j < 4; ++j) store(panel + (f + j) * kWidth + half, columns[j]);
        }
    }
    for (; f < k; ++f)
        for (int lane = 0; lane < kWidth; ++lane) panel[f * kWidth + lane] = row[lane][f];
}

}  // namespace

extern const TopkKernels topk_kernels;
const TopkKernels topk_kernels = {
    kWidth,
    kTile,
#if defined(__AVX512F__)
    {nullptr, scan<1>, scan<2>, scan<3>, scan<4>, scan<5>, scan<6>, scan<7>, scan<8>, scan<9>, scan<10>, scan<11>,
     scan<12>, scan<13>, scan<14>},
#else
    {nullptr, scan<1>, scan<2>, scan<3>, scan<4>, scan<5>, scan<6>, nullptr, nullptr, nullptr, nullptr, nullptr,
     nullptr, nullptr, nullptr},
#endif
    {nullptr, scan_rows<1>, scan_rows<2>, scan_rows<3>, scan_rows<4>},
    pack,
};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
