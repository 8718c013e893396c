#include "cpu/sampled_kernels.h"

#include "core/mix64.h"
#include "cpu/sgd_vec.h"
#include "math/sampled.h"
#include "math/sgd.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

// Draws that wait in the first-level cache.
constexpr int kDraws = 8 * kMostDrawn;

// Runs that advance together, and the lanes of what each of them has one number of. Scores, slopes and steps of a
// choice wait for each other: about 100 cycles that other choices fill. Eight runs of rows beyond 32 floats do not fit
// the registers; XXX
constexpr int interleave_of_sampled(int nv) {
    return nv > 0 && nv * 8 <= kMostResident ? 8 : interleave_of(nv);
}

// What users' choices are looked up in.
struct Chooser {
    long user;
    int shift;
    const uint32_t* filter;
};

FASTCF_INLINE bool in_list(const SampledTileArgs& args, long user, int32_t item) {
    int64_t low = args.offsets[user], high = args.offsets[user + 1];
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (args.chosen[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < args.offsets[user + 1] && args.chosen[low] == item;
}

FASTCF_INLINE bool may_have(const uint32_t* filter, int shift, uint32_t item) {
    const FilterPlace place = filter_place(item, shift);
    return (filter[place.word] & place.bits) == place.bits;
}

// The items of `count` draws.
FASTCF_INLINE void draw(const SampledTileArgs& args, long first, int count, unsigned short* drawn) {
    uint32_t halves[kDraws + 2];
    const int skip = static_cast<int>(first & 1);
    const int words = (skip + count + 1) / 2;
    const uint64_t key = args.key, first_word = static_cast<uint64_t>(first / 2);
    for (int w = 0; w < words; ++w) {
        const uint64_t word = random_word(key, first_word + static_cast<uint64_t>(w));
        halves[2 * w] = half_word(word, 0);
        halves[2 * w + 1] = half_word(word, 1);
    }
    const AliasSlot* const slots = args.slots;
    const unsigned n_slots = args.n_slots;
    for (int d = 0; d < count; ++d) {
        uint32_t coin;
        const uint32_t slot = alias_slot(halves[skip + d], n_slots, &coin);
        const AliasSlot entry = slots[slot];
        drawn[d] = static_cast<unsigned short>(coin < entry.threshold ? slot : static_cast<uint32_t>(entry.alias));
    }
}

// What each drawn item counts, in the order step, draw, lane: nothing where the user has chosen it.
template <int U, int W>
FASTCF_INLINE void count_draws(const SampledTileArgs& args, const Chooser (&users)[U], int steps, int n,
                               const unsigned short* drawn, float* shares) {
    const float share = args.share;
    const uint32_t first = args.first_drawn;
    for (int j = 0; j < U; ++j) {
        const uint32_t* const filter = users[j].filter;
        const int shift = users[j].shift;
        if (shift == 0) {
            for (int t = 0; t < steps; ++t)
                for (int m = 0; m < n; ++m)
                    shares[(t * n + m) * W + j] =
                        may_have(filter, 0, first + drawn[(t * U + j) * n + m]) ? 0.0f : share;
            continue;
        }
        for (int t = 0; t < steps; ++t)
            for (int m = 0; m < n; ++m) {
                const uint32_t item = first + drawn[(t * U + j) * n + m];
                float counts = share;
                if (may_have(filter, shift, item) && in_list(args, users[j].user, args.item_rows[item])) counts = 0.0f;
                shares[(t * n + m) * W + j] = counts;
            }
    }
}

// From scores in W lanes, the choice's and then those of n drawn items, to minus the derivatives of weight times the
// cost.
template <int W>
FASTCF_INLINE void slopes(SampledCost cost, int n, const float* shares, const float* weight, float* at) {
    float own[W];
    for (int j = 0; j < W; ++j) own[j] = 0.0f;
    if (cost == SampledCost::bpr) {
        for (int m = 0; m < n; ++m)
#pragma omp simd
            for (int j = 0; j < W; ++j) {
                const float by = shares[m * W + j] * weight[j] * chosen_slope(at[j] - at[(m + 1) * W + j]);
                at[(m + 1) * W + j] = by;
                own[j] -= by;
            }
    } else if (cost == SampledCost::logistic) {
#pragma omp simd
        for (int j = 0; j < W; ++j) own[j] = -weight[j] * chosen_slope(at[j]);
        for (int m = 0; m < n; ++m)
#pragma omp simd
            for (int j = 0; j < W; ++j)
                at[(m + 1) * W + j] = -shares[m * W + j] * weight[j] * drawn_slope(at[(m + 1) * W + j]);
    } else {
        float greatest[W], sum[W];
        for (int j = 0; j < W; ++j) greatest[j] = at[j];
        for (int m = 0; m < n; ++m)
            for (int j = 0; j < W; ++j) {
                const float score = at[(m + 1) * W + j];
                greatest[j] = shares[m * W + j] != 0.0f && score > greatest[j] ? score : greatest[j];
            }
#pragma omp simd
        for (int j = 0; j < W; ++j) sum[j] = own[j] = softmax_term(at[j], greatest[j]);
        for (int m = 0; m < n; ++m)
#pragma omp simd
            for (int j = 0; j < W; ++j) {
                const float counted = shares[m * W + j] != 0.0f ? 1.0f : 0.0f;
                const float score = at[(m + 1) * W + j];
                const float term = counted * softmax_term(score < greatest[j] ? score : greatest[j], greatest[j]);
                at[(m + 1) * W + j] = term;
                sum[j] += term;
            }
#pragma omp simd
        for (int j = 0; j < W; ++j) own[j] = -weight[j] * softmax_slope(own[j], sum[j], true);
        for (int m = 0; m < n; ++m)
#pragma omp simd
            for (int j = 0; j < W; ++j)
                at[(m + 1) * W + j] = -weight[j] * softmax_slope(at[(m + 1) * W + j], sum[j], false);
    }
    for (int j = 0; j < W; ++j) at[j] = own[j];
}

// Advances U runs by `steps` choices each. NV is the number of vectors of a row, 0 when only known at run time; N the
// items drawn for a choice, 0 likewise.
template <int NV, int U, int N, bool BIAS>
FASTCF_INLINE void advance(const SampledTileArgs& args, const SgdRun* runs, int steps, const unsigned short* items,
                           const float* weights, const unsigned short* drawn, const float* shares) {
    constexpr bool kResident = NV > 0 && NV * U <= kMostResident;
    constexpr int kRows = (N > 0 ? N : kMostDrawn) + 1;
    constexpr int W = U > 4 ? 8 : 4;
    const long nv = NV > 0 ? NV : args.stride / kLanes;
    const long stride = NV > 0 ? NV * kLanes : args.stride;
    const int n = N > 0 ? N : args.n_drawn;
    // What is stored might be these: copies stay in registers.
    float* const item_factors = args.item_factors;
    float* const drawn_factors = args.drawn_factors;
    float* const item_bias = args.item_bias;
    float* const drawn_bias = args.drawn_bias;
    const float* const item_keeps = args.item_keep;
    const float* const item_bias_keeps = args.item_bias_keep;
    const float* const correction = args.correction;
    const float lr = args.learning_rate, item_lr = args.item_learning_rate, bias_lr = args.bias_learning_rate;
    const SampledCost cost = args.cost;
    Vec resident[U][kResident ? NV : 1];
    float* rows[U];
    float keep[U];
    for (int j = 0; j < U; ++j) {
        rows[j] = args.user_factors + runs[j].user * stride;
        keep[j] = args.user_keep[runs[j].user];
        if constexpr (kResident)
            for (int v = 0; v < NV; ++v) resident[j][v] = load(rows[j] + v * kLanes);
    }
    const auto user_vector = [&](int j, long v) {
        if constexpr (kResident)
            return resident[j][v];
        else
            return load(rows[j] + v * kLanes);
    };
    const auto set_user_vector = [&](int j, long v, Vec x) {
        if constexpr (kResident)
            resident[j][v] = x;
        else
            store(rows[j] + v * kLanes, x);
    };
    for (int t = 0; t < steps; ++t, items += U, weights += U, drawn += U * n, shares += W * n) {
        float at[kRows * W];
        const auto row_of = [&](int r, int j) {
            return r == 0 ? item_factors + items[j] * stride : drawn_factors + drawn[j * n + r - 1] * stride;
        };
        const auto scores = [&](int r) __attribute__((always_inline)) {
            Vec acc[W];
#pragma GCC unroll 8
            for (int j = 0; j < W; ++j) {
                if (j >= U) {
                    acc[j] = acc[0];
                    continue;
                }
                const float* q = row_of(r, j);
                acc[j] = user_vector(j, 0) * load(q);
#pragma GCC unroll 16
                for (long v = 1; v < nv; ++v) acc[j] = fma(user_vector(j, v), load(q + v * kLanes), acc[j]);
            }
#pragma GCC unroll 2
            for (int g = 0; g < W; g += 4) {
                const f4 four = row_sums4(acc[g], acc[g + 1], acc[g + 2], acc[g + 3]);
                __builtin_memcpy(at + r * W + g, &four, sizeof four);
            }
            if constexpr (BIAS)
                for (int j = 0; j < U; ++j)
                    at[r * W + j] += r == 0 ? item_bias[items[j]] : drawn_bias[drawn[j * n + r - 1]];
            if (r > 0 && correction != nullptr)
                for (int j = 0; j < U; ++j) at[r * W + j] += correction[drawn[j * n + r - 1]];
        };
        scores(0);
        if constexpr (N == 1)
            scores(1);
        else
            for (int r = 1; r <= n; ++r) scores(r);
        float weight[W];
        for (int j = 0; j < W; ++j) weight[j] = j < U ? weights[j] : 0.0f;
        slopes<W>(cost, n, shares, weight, at);
#pragma GCC unroll 8
        for (int j = 0; j < U; ++j) {
            float* q = row_of(0, j);
            const float item_keep = item_keeps[items[j]];
            const Vec user_by = broadcast(sgd_pull(at[j], lr, keep[j]));
            const Vec item_by = broadcast(sgd_pull(at[j], item_lr, item_keep));
            const Vec user_kept = broadcast(keep[j]);
            const Vec item_kept = broadcast(item_keep);
            float* other[kRows - 1];
            float user_pulls[kRows - 1], other_pulls[kRows - 1];
            for (int m = 0; m < n; ++m) {
                other[m] = row_of(m + 1, j);
                user_pulls[m] = sgd_pull(at[(m + 1) * W + j], lr, keep[j]);
                other_pulls[m] = at[(m + 1) * W + j] * item_lr;
            }
            const auto update = [&](long v) __attribute__((always_inline)) {
                const Vec q_old = load(q + v * kLanes);
                const Vec p_old = user_vector(j, v);
                store(q + v * kLanes, sgd_factor(q_old, p_old, item_by, item_kept, MultiplyAdd{}));
                Vec p = sgd_factor(p_old, q_old, user_by, user_kept, MultiplyAdd{});
                for (int m = 0; m < n; ++m) {
                    const Vec o_old = load(other[m] + v * kLanes);
                    store(other[m] + v * kLanes, fma(broadcast(other_pulls[m]), p_old, o_old));
                    p = fma(broadcast(user_pulls[m]), o_old, p);
                }
                set_user_vector(j, v, p);
            };
#pragma GCC unroll 16
            for (long v = 0; v < nv; ++v) update(v);
            if constexpr (BIAS) {
                float& own = item_bias[items[j]];
                own = sgd_bias(own, at[j] * bias_lr, item_bias_keeps[items[j]]);
                for (int m = 0; m < n; ++m) drawn_bias[drawn[j * n + m]] += at[(m + 1) * W + j] * bias_lr;
            }
        }
    }
    if constexpr (kResident)
        for (int j = 0; j < U; ++j)
            for (int v = 0; v < NV; ++v) store(rows[j] + v * kLanes, resident[j][v]);
}

// The same, drawing on the way.
template <int NV, int U, int N, bool BIAS>
void advance_drawing(const SampledTileArgs& args, const SgdRun* runs, int steps, long first, long first_draw) {
    constexpr int W = U > 4 ? 8 : 4;
    unsigned short drawn[kDraws];
    float shares[kDraws];
    const int n = N > 0 ? N : args.n_drawn;
    const int at_once = kDraws / (W * n);
    Chooser users[U];
    for (int j = 0; j < U; ++j)
        users[j] = {runs[j].user, args.filter_shifts[runs[j].user], args.filter + args.filter_begins[runs[j].user]};
    for (int e = 0; U < W && e < kDraws; ++e) shares[e] = 0.0f;
    for (int done = 0; done < steps; done += at_once, first += at_once * U, first_draw += at_once * U * n) {
        const int now = steps - done < at_once ? steps - done : at_once;
        draw(args, first_draw, now * U * n, drawn);
        count_draws<U, W>(args, users, now, n, drawn, shares);
        advance<NV, U, N, BIAS>(args, runs, now, args.items + first, args.weights + first, drawn, shares);
    }
}

template <int NV, int N, bool BIAS>
void run_tile(const SampledTileArgs& args) {
    constexpr int U = interleave_of_sampled(NV);
    const long drawn = args.n_drawn;
    long first = 0;      // choice
    if (args.by_user) {  // laid out without interleaving
        for (long r = 0; r < args.n_runs; first += args.runs[r++].length)
            advance_drawing<NV, 1, N, BIAS>(args, args.runs + r, args.runs[r].length, first, args.first_draw);
        return;
    }
    for (long r = 0; r < args.n_runs; r += U) {
        const SgdRun* runs = args.runs + r;
        const int n = args.n_runs - r < U ? static_cast<int>(args.n_runs - r) : U;
        for (int j = 0; r + U + j < args.n_runs && j < U; ++j) {
            const long user = runs[U + j].user;
            for (long i = 0; i < args.stride; i += kRowAlign)
                __builtin_prefetch(args.user_factors + user * args.stride + i, 1);
            __builtin_prefetch(args.filter + args.filter_begins[user]);
        }
        int shared = 0;
        if (n == U) {
            shared = runs[U - 1].length;  // runs are sorted, longest first
            advance_drawing<NV, U, N, BIAS>(args, runs, shared, first, args.first_draw + first * drawn);
            first += shared * U;
        }
        for (int j = 0; j < n; ++j) {
            const int rest = runs[j].length - shared;
            if (rest == 0) continue;
            advance_drawing<NV, 1, N, BIAS>(args, runs + j, rest, first, args.first_draw + first * drawn);
            first += rest;
        }
    }
}

template <int NV>
void tile_for(const SampledTileArgs& args) {
    args.bias ? run_tile<NV, 1, true>(args) : run_tile<NV, 1, false>(args);
}

// Lengths of rows with kernels of their own, for one item drawn. With more of them the user's row is a small part of
// what a choice moves, and is worked on in L1.
int specialised(long stride, int n_drawn) {
    const long blocks = stride / kRowAlign;
    return n_drawn == 1 && (blocks <= 4 || blocks == 6 || blocks == 8) ? own(stride / kLanes) : 0;
}

void tile(const SampledTileArgs& args) {
    [[maybe_unused]] const FlushDenormals flush;
    if (args.n_drawn > 1) return args.bias ? run_tile<0, 0, true>(args) : run_tile<0, 0, false>(args);
    switch (args.stride / kRowAlign) {
        case 1:
            return tile_for<own(1 * kPerBlock)>(args);
        case 2:
            return tile_for<own(2 * kPerBlock)>(args);
        case 3:
            return tile_for<own(3 * kPerBlock)>(args);
        case 4:
            return tile_for<own(4 * kPerBlock)>(args);
        case 6:
            return tile_for<own(6 * kPerBlock)>(args);
        case 8:
            return tile_for<own(8 * kPerBlock)>(args);
        default:
            return tile_for<0>(args);
    }
}

int interleave(long stride, int n_drawn) {
    return interleave_of_sampled(specialised(stride, n_drawn));
}

}  // namespace

const SampledKernels sampled_kernels = {tile, interleave};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
