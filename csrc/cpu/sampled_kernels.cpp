#include "cpu/sampled_kernels.h"

#include "core/mix64.h"
#include "cpu/sgd_vec.h"
#include "math/sampled.h"
#include "math/sgd.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

// Draws that wait in the first-level cache.
constexpr int kDraws = 8 * kMostDrawn;

// Runs that advance together, and choices of each of them that take their slopes together: eight choices in all where
// one item is drawn for each. Scores, slopes and steps wait for each other, some 180 cycles that only other choices
// fill, and the rows of more than four users do not fit the registers.
constexpr int kTogether = 8;
constexpr int together_of(int nv, int n_drawn) {
    return n_drawn == 1 ? kTogether / interleave_of(nv) : 1;
}

// What users' choices are looked up in.
struct Chooser {
    long user;
    int shift;
    const uint32_t* filter;
};

FASTCF_INLINE bool in_list(const SampledTileArgs& args, long user, int32_t item) {
    const int32_t* at = args.chosen + args.offsets[user];
    int64_t left = args.offsets[user + 1] - args.offsets[user];
    while (left > 1) {  // no branch that could be guessed wrong
        const int64_t half = left / 2;
        at += at[half] <= item ? half : 0;
        left -= half;
    }
    return left == 1 && *at == item;
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

// What each drawn item counts, in the order step, draw, lane: nothing where the user has chosen it. First the filters
// are asked about all, without a branch, so that fetches overlap; then the few that they cannot rule out are looked up.
template <int U>
FASTCF_INLINE void count_draws(const SampledTileArgs& args, const Chooser (&users)[U], int steps, int n,
                               const unsigned short* drawn, float* shares) {
    const float share = args.share;
    const uint32_t first = args.first_drawn;
    for (int j = 0; j < U; ++j) {
        const uint32_t* const filter = users[j].filter;
        const int shift = users[j].shift;
        int unsure = 0;
        const auto ask = [&](int t, int m) __attribute__((always_inline)) {
            const bool may = may_have(filter, shift, first + drawn[(t * U + j) * n + m]);
            shares[(t * n + m) * U + j] = may ? 0.0f : share;
            unsure += may;
        };
        if (n == 1)
            for (int t = 0; t < steps; ++t) ask(t, 0);
        else
            for (int t = 0; t < steps; ++t)
                for (int m = 0; m < n; ++m) ask(t, m);
        if (shift == 0 || unsure == 0) continue;
        for (int t = 0; t < steps; ++t)
            for (int m = 0; m < n; ++m) {
                float& counts = shares[(t * n + m) * U + j];
                if (counts == 0.0f && !in_list(args, users[j].user, args.item_rows[first + drawn[(t * U + j) * n + m]]))
                    counts = share;
            }
    }
}

// From scores in W lanes, the choices' and then those of n drawn items, to minus the derivatives of weight times the
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

// Advances U runs by `steps` choices each, H at a time. NV is the number of vectors of a row, 0 when only known at run
// time; N the items drawn for a choice, 0: any number.
template <int NV, int U, int H, int N>
FASTCF_INLINE void advance(const SampledTileArgs& args, const SgdRun* runs, int steps, const unsigned short* items,
                           const float* weights, const unsigned short* drawn, const float* shares) {
    constexpr bool kResident = NV > 0 && NV * U <= kMostResident;
    constexpr int kRows = (N > 0 ? N : kMostDrawn) + 1;
    constexpr int C = U * H, W = C > 4 ? 8 : 4;  // choices at a time, and lanes
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
    const bool bias = args.bias;
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
    for (int t = 0; t < steps; t += H, items += C, weights += C, drawn += C * n, shares += C * n) {
        float at[kRows * W], counted[(kRows - 1) * W];
        const auto row_of = [&](int r, int c) {
            return r == 0 ? item_factors + items[c] * stride : drawn_factors + drawn[c * n + r - 1] * stride;
        };
        const auto scores = [&](int r) __attribute__((always_inline)) {
            for (int g = 0; g < W; g += 4) {
                Vec acc[4];
#pragma GCC unroll 4
                for (int e = 0; e < 4; ++e) {
                    const int c = g + e;
                    if (c >= C) {
                        acc[e] = acc[0];
                        continue;
                    }
                    const float* q = row_of(r, c);
                    acc[e] = user_vector(e % U, 0) * load(q);
#pragma GCC unroll 16
                    for (long v = 1; v < nv; ++v) acc[e] = fma(user_vector(e % U, v), load(q + v * kLanes), acc[e]);
                }
                const f4 four = row_sums4(acc[0], acc[1], acc[2], acc[3]);
                __builtin_memcpy(at + r * W + g, &four, sizeof four);
            }
            if (bias)
                for (int c = 0; c < C; ++c)
                    at[r * W + c] += r == 0 ? item_bias[items[c]] : drawn_bias[drawn[c * n + r - 1]];
            if (r > 0 && correction != nullptr)
                for (int c = 0; c < C; ++c) at[r * W + c] += correction[drawn[c * n + r - 1]];
        };
        scores(0);
        if constexpr (N == 1)
            scores(1);
        else
            for (int r = 1; r <= n; ++r) scores(r);
        float weight[W];
        for (int c = 0; c < W; ++c) weight[c] = c < C ? weights[c] : 0.0f;
        for (int m = 0; m < n; ++m)
            for (int c = 0; c < W; ++c) counted[m * W + c] = c < C ? shares[((c / U) * n + m) * U + c % U] : 0.0f;
        slopes<W>(cost, n, counted, weight, at);
        float keeps[W], item_kept_by[W], user_pulls[kRows * W], item_pulls[kRows * W];
        for (int c = 0; c < W; ++c) keeps[c] = c < C ? keep[c % U] : 0.0f;
        for (int c = 0; c < W; ++c) item_kept_by[c] = c < C ? item_keeps[items[c]] : 0.0f;
        for (int r = 0; r <= n; ++r)
#pragma omp simd
            for (int c = 0; c < W; ++c) {
                user_pulls[r * W + c] = sgd_pull(at[r * W + c], lr, keeps[c]);
                item_pulls[r * W + c] = sgd_pull(at[r * W + c], item_lr, r == 0 ? item_kept_by[c] : 1.0f);
            }
        for (int h = 0; h < C; h += U)
#pragma GCC unroll 4
            for (int j = 0; j < U; ++j) {
                const int c = h + j;
                float* q = row_of(0, c);
                const Vec user_by = broadcast(user_pulls[c]);
                const Vec item_by = broadcast(item_pulls[c]);
                const Vec user_kept = broadcast(keep[j]);
                const Vec item_kept = broadcast(item_kept_by[c]);
                float* other[kRows - 1];
                for (int m = 0; m < n; ++m) other[m] = row_of(m + 1, c);
                const auto update = [&](long v) __attribute__((always_inline)) {
                    const Vec q_old = load(q + v * kLanes);
                    const Vec p_old = user_vector(j, v);
                    store(q + v * kLanes, sgd_factor(q_old, p_old, item_by, item_kept, MultiplyAdd{}));
                    Vec p = sgd_factor(p_old, q_old, user_by, user_kept, MultiplyAdd{});
                    for (int m = 0; m < n; ++m) {
                        const Vec o_old = load(other[m] + v * kLanes);
                        store(other[m] + v * kLanes, fma(broadcast(item_pulls[(m + 1) * W + c]), p_old, o_old));
                        p = fma(broadcast(user_pulls[(m + 1) * W + c]), o_old, p);
                    }
                    set_user_vector(j, v, p);
                };
#pragma GCC unroll 16
                for (long v = 0; v < nv; ++v) update(v);
                if (bias) {
                    float& own = item_bias[items[c]];
                    own = sgd_bias(own, at[c] * bias_lr, item_bias_keeps[items[c]]);
                    for (int m = 0; m < n; ++m) drawn_bias[drawn[c * n + m]] += at[(m + 1) * W + c] * bias_lr;
                }
            }
    }
    if constexpr (kResident)
        for (int j = 0; j < U; ++j)
            for (int v = 0; v < NV; ++v) store(rows[j] + v * kLanes, resident[j][v]);
}

// The same, drawing on the way; what H does not divide is done one by one.
template <int NV, int U, int H, int N>
void advance_drawing(const SampledTileArgs& args, const SgdRun* runs, int steps, long first, long first_draw) {
    unsigned short drawn[kDraws];
    float shares[kDraws];
    const int n = N > 0 ? N : args.n_drawn;
    const int at_once = kDraws / (U * H * n) * H;
    Chooser users[U];
    for (int j = 0; j < U; ++j)
        users[j] = {runs[j].user, args.filter_shifts[runs[j].user], args.filter + args.filter_begins[runs[j].user]};
    for (int done = 0; done < steps; done += at_once, first += at_once * U, first_draw += at_once * U * n) {
        const int now = steps - done < at_once ? steps - done : at_once;
        draw(args, first_draw, now * U * n, drawn);
        count_draws<U>(args, users, now, n, drawn, shares);
        const int even = now / H * H;
        advance<NV, U, H, N>(args, runs, even, args.items + first, args.weights + first, drawn, shares);
        if (even < now)
            advance<NV, U, 1, N>(args, runs, now - even, args.items + first + even * U, args.weights + first + even * U,
                                 drawn + even * U * n, shares + even * U * n);
    }
}

template <int NV, int N>
void run_tile(const SampledTileArgs& args) {
    constexpr int U = interleave_of(NV), H = together_of(NV, N);
    const long drawn = args.n_drawn;
    long first = 0;      // choice
    if (args.by_user) {  // laid out without interleaving
        for (long r = 0; r < args.n_runs; first += args.runs[r++].length)
            advance_drawing<NV, 1, 1, N>(args, args.runs + r, args.runs[r].length, first, args.first_draw);
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
            advance_drawing<NV, U, H, N>(args, runs, shared, first, args.first_draw + first * drawn);
            first += shared * U;
        }
        for (int j = 0; j < n; ++j) {
            const int rest = runs[j].length - shared;
            if (rest == 0) continue;
            advance_drawing<NV, 1, 1, N>(args, runs + j, rest, first, args.first_draw + first * drawn);
            first += rest;
        }
    }
}

// Lengths of rows with kernels of their own, for one item drawn. With more of them the user's row is a small part of
// what a choice moves, and is worked on in L1.
int specialised(long stride, int n_drawn) {
    const long blocks = stride / kRowAlign;
    return n_drawn == 1 && (blocks <= 4 || blocks == 6 || blocks == 8) ? own(stride / kLanes) : 0;
}

void tile(const SampledTileArgs& args) {
    [[maybe_unused]] const FlushDenormals flush;
    if (args.n_drawn > 1) return run_tile<0, 0>(args);
    switch (args.stride / kRowAlign) {
        case 1:
            return run_tile<own(1 * kPerBlock), 1>(args);
        case 2:
            return run_tile<own(2 * kPerBlock), 1>(args);
        case 3:
            return run_tile<own(3 * kPerBlock), 1>(args);
        case 4:
            return run_tile<own(4 * kPerBlock), 1>(args);
        case 6:
            return run_tile<own(6 * kPerBlock), 1>(args);
        case 8:
            return run_tile<own(8 * kPerBlock), 1>(args);
        default:
            return run_tile<0, 1>(args);
    }
}

SampledTogether together(long stride, int n_drawn) {
    const int nv = specialised(stride, n_drawn);
    return {interleave_of(nv), together_of(nv, n_drawn)};
}

}  // namespace

const SampledKernels sampled_kernels = {tile, together};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
