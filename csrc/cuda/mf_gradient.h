// Kernels of the gradient of matrix factorisation; mf_gradient.cu launches them.
//
// A warp takes a run of ratings of one row, its groups of lanes taking turns: a group has as many lanes as the row's
// factors have chunks of 16 bytes, 8, 16 or 32. The factors and the gradient of the row stay in registers, rows of the
// other side are gathered, every rating's product is summed over its group, and the groups' gradients are added at the
// end. Rows of more than kPart ratings are cut: the parts after the first leave their sums in an array of their own,
// and join_kernel adds those to the row in order. No plan is made for this: an aligned stretch of kPart entries holds
// the beginning of at most one such part, so every stretch has a warp, which looks for it.
#pragma once

#include "cuda/kernel.h"
#include "math/loss.h"
#include "math/mf.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kSumThreads = 1024;
constexpr std::int64_t kWarpsPerBlock = kThreads / kWarp;
constexpr std::int64_t kPart = 512;        // ratings of a warp at the most
constexpr std::int64_t kMostChunks = 128;  // of a row's factors in registers: 512 floats
constexpr int kPairLanes = 8;              // threads that share a pair in score_kernel
constexpr std::int64_t kPairsPerBlock = 1024;

// The rating matrix from one side, users or items, and this side's parameters and gradient.
template <class T>
struct Side {
    Global<const std::int64_t> indptr;
    Global<const std::int32_t> indices;  // rows of the other side
    std::int64_t rows, entries;
    Global<const T> own, other;  // factors
    std::int64_t stride;
    int chunks;  // of a row of factors
    Global<const T> own_bias, reg, bias_reg;
    Global<T> gradient, bias_gradient;
    std::int64_t gradient_stride;
    Global<T> later_gradient;         // of the parts after a row's first
    Global<double> later_error_sums;  // likewise
};

// What a prediction needs beside factors and the user's bias.
template <class T>
struct Target {
    Global<const T> item_bias, item_offset, values, weights;
    T global_offset;
    bool logistic;
};

template <class T>
FASTCF_DEVICE T at_or(Global<const T> values, std::int64_t i, T otherwise) {
    return values == nullptr ? otherwise : values[i];
}

struct Part {
    std::int64_t row = -1;  // -1: none
    std::int64_t begin = 0, end = 0;
    std::int64_t slot = 0;  // where a later part's sums go; 0: the first part of its row
};

constexpr std::int64_t later_slots(std::int64_t entries) {
    return entries <= kPart ? 0 : (entries - 1) / kPart;
}

// The later part that begins in the slot-th stretch of kPart entries, slot >= 1. Its row begins kPart entries before it
// or more, so that the stretch's first entry is the row's too.
FASTCF_DEVICE Part later_part(Global<const std::int64_t> indptr, std::int64_t rows, std::int64_t entries,
                              std::int64_t slot) {
    Part part;
    const std::int64_t stretch = slot * kPart;
    if (stretch >= entries) return part;
    const std::int64_t row = row_of(indptr, rows, stretch);
    const std::int64_t first = indptr[row], last = indptr[row + 1];
    const std::int64_t begin = first + (stretch - first + kPart - 1) / kPart * kPart;
    if (begin == first || begin >= last) return part;
    part.row = row;
    part.begin = begin;
    part.end = begin + kPart < last ? begin + kPart : last;
    part.slot = slot;
    return part;
}

// The part of the w-th warp: of the w-th row its first, or of the stretches that follow the rows.
FASTCF_DEVICE Part part_of(Global<const std::int64_t> indptr, std::int64_t rows, std::int64_t entries, std::int64_t w) {
    if (w >= rows) return later_part(indptr, rows, entries, w - rows + 1);
    Part part;
    const std::int64_t first = indptr[w], last = indptr[w + 1];
    part.row = w;
    part.begin = first;
    part.end = first + kPart < last ? first + kPart : last;
    return part;
}

template <class T>
FASTCF_DEVICE void load_or_zeros(Global<const T> rows, std::int64_t row, std::int64_t stride, int chunk, int chunks,
                                 T (&values)[kChunk<T>]) {
    if (row >= 0 && chunk < chunks)
        load_chunk(rows + (row * stride + chunk * kChunk<T>), values);
    else
        for (int i = 0; i < kChunk<T>; ++i) values[i] = T(0);
}

// A part's gradient begins as its row's penalty's, in the first group of lanes. Returns what this lane has of it.
template <class T>
FASTCF_DEVICE double start_sum(const Side<T>& side, const Part& part, const T (&own)[kChunk<T>], T (&sum)[kChunk<T>],
                               bool first_group) {
    const bool starts = part.row >= 0 && part.slot == 0 && first_group;
    const T reg = starts ? at_or(side.reg, part.row, T(0)) : T(0);
    double norm = 0.0;
    for (int i = 0; i < kChunk<T>; ++i) {
        sum[i] = starts ? reg * own[i] : T(0);
        norm += static_cast<double>(own[i]) * static_cast<double>(own[i]);
    }
    return reg == T(0) ? 0.0 : 0.5 * static_cast<double>(reg) * norm;
}

// Adds the groups' sums and stores them as the part's.
template <class T, int LANES>
FASTCF_DEVICE void store_sum(const Side<T>& side, const Part& part, int chunk, T (&sum)[kChunk<T>]) {
    for (int mask = LANES; mask < kWarp; mask *= 2)
        for (int i = 0; i < kChunk<T>; ++i) sum[i] += shuffle_xor(sum[i], mask);
    if (part.row < 0 || lane_index() >= LANES || chunk >= side.chunks) return;
    if (part.slot == 0)
        store_chunk(side.gradient + (part.row * side.gradient_stride + chunk * kChunk<T>), sum);
    else
        store_chunk(side.later_gradient + (part.slot * side.chunks + chunk) * kChunk<T>, sum);
}

// The same for the bias, from what each lane knows of the sum of errors; returns its penalty. One lane's work.
template <class T>
FASTCF_DEVICE double store_bias(const Side<T>& side, const Part& part, double error_sum) {
    error_sum = warp_sum(error_sum);
    if (part.row < 0 || lane_index() != 0) return 0.0;
    if (part.slot > 0) {
        side.later_error_sums[part.slot] = error_sum;
        return 0.0;
    }
    const T bias = at_or(side.own_bias, part.row, T(0)), reg = at_or(side.bias_reg, part.row, T(0));
    if (side.bias_gradient != nullptr) side.bias_gradient[part.row] = reg * bias + static_cast<T>(error_sum);
    return 0.5 * static_cast<double>(reg) * static_cast<double>(bias) * static_cast<double>(bias);
}

template <class T>
FASTCF_DEVICE T loss_of(T z, T value, bool logistic, T* slope) {
    return logistic ? logistic_loss(z, value, slope) : squared_loss(z, value, slope);
}

// The pass by user. Per rating k elements gathered, 12 to 20 bytes and 4 k flops: bound by gathering, on an H200 from
// memory at most 17 G ratings/s at k = 64 in float32, more where the items stay in L2. AHEAD ratings of a group are
// under way at a time; their products are summed over the lanes of the group by halving, after which each share of the
// lanes has one of them and works out its loss. 256 threads, a part of a row per warp. Deterministic.
template <class T, int LANES, int CHUNKS, int AHEAD>
FASTCF_KERNEL(kThreads, CHUNKS * sizeof(T) == 4 ? 3 : 2)
void forward_kernel(Side<T> side, Target<T> target, Global<T> errors, Global<double> losses, Global<double> penalties) {
    constexpr int kSize = kChunk<T>, kGroups = kWarp / LANES, kShare = LANES / AHEAD;
    FASTCF_SHARED(double, scratch, kWarp);
    const Part part = part_of(side.indptr, side.rows, side.entries, global_warp());
    const int lane = lane_index(), group = lane / LANES, place = lane % LANES;
    T own[CHUNKS][kSize], sum[CHUNKS][kSize];
    double penalty = 0.0, loss = 0.0, error_sum = 0.0;
    for (int c = 0; c < CHUNKS; ++c) {
        load_or_zeros(side.own, part.row, side.stride, c * LANES + place, side.chunks, own[c]);
        penalty += start_sum(side, part, own[c], sum[c], group == 0);
    }
    const T own_bias = part.row < 0 ? T(0) : at_or(side.own_bias, part.row, T(0));
    for (std::int64_t tile = part.begin; tile < part.end; tile += kWarp) {
        // Each lane fetches what belongs to one rating; the groups ask for it as they come to it.
        std::int32_t index = -1;
        T known = T(0), value = T(0), weight = T(0);
        if (tile + lane < part.end) {
            index = side.indices[tile + lane];
            value = target.values[tile + lane];
            weight = at_or(target.weights, tile + lane, T(1));
            known = mf_prediction(at_or(target.item_offset, index, target.global_offset), own_bias,
                                  at_or(target.item_bias, index, T(0)), T(0));
        }
        const int n = part.end - tile < kWarp ? static_cast<int>(part.end - tile) : kWarp;
        for (int first = 0; first < n; first += kGroups * AHEAD) {
            T rows[AHEAD][CHUNKS][kSize], products[AHEAD];
            for (int a = 0; a < AHEAD; ++a) {
                const std::int32_t item = shuffle(index, first + a * kGroups + group);
                for (int c = 0; c < CHUNKS; ++c)
                    load_or_zeros(side.other, item, side.stride, c * LANES + place, side.chunks, rows[a][c]);
            }
            for (int a = 0; a < AHEAD; ++a) {
                products[a] = T(0);
                for (int c = 0; c < CHUNKS; ++c)
                    for (int i = 0; i < kSize; ++i) products[a] += own[c][i] * rows[a][c][i];
            }
            int mask = LANES / 2;
            for (int half = AHEAD / 2; half > 0; half /= 2, mask /= 2) {
                const bool upper = (place & mask) != 0;
                for (int a = 0; a < half; ++a) {
                    const T kept = upper ? products[a + half] : products[a];
                    const T given = upper ? products[a] : products[a + half];
                    products[a] = kept + shuffle_xor(given, mask);
                }
            }
            for (; mask > 0; mask /= 2) products[0] += shuffle_xor(products[0], mask);
            const int j = first + place / kShare * kGroups + group;
            const T z = shuffle(known, j) + products[0], y = shuffle(value, j), w = shuffle(weight, j);
            T e;
            const T l = w * loss_of(z, y, target.logistic, &e);
            e *= w;
            if (j < n && place % kShare == 0) {
                errors[tile + j] = e;
                loss += static_cast<double>(l);
                error_sum += static_cast<double>(e);
            }
            for (int a = 0; a < AHEAD; ++a) {
                const T factor = shuffle(e, group * LANES + a * kShare);
                for (int c = 0; c < CHUNKS; ++c)
                    for (int i = 0; i < kSize; ++i) sum[c][i] += factor * rows[a][c][i];
            }
        }
    }
    for (int c = 0; c < CHUNKS; ++c) store_sum<T, LANES>(side, part, c * LANES + place, sum[c]);
    penalty += store_bias(side, part, error_sum);
    loss = block_sum(loss, scratch);
    penalty = block_sum(penalty, scratch);
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = loss;
        penalties[blockIdx.x] = penalty;
    }
}

// The pass by item, from errors known already; `positions` says where those stand, null: in order. Per rating k
// elements gathered, 12 bytes and a sector of errors, 2 k flops: bound by gathering, on an H200 from memory at most 16
// G ratings/s at k = 64 in float32. 256 threads, a part of a row per warp, and a row of blocks per LANES chunks of
// factors. Deterministic.
template <class T, int LANES>
FASTCF_KERNEL(kThreads, sizeof(T) == 4 ? 4 : 3)
void accumulate_kernel(Side<T> side, Global<const T> errors, Global<const std::int64_t> positions,
                       Global<double> penalties) {
    constexpr int kSize = kChunk<T>, kGroups = kWarp / LANES, kAhead = 4;
    FASTCF_SHARED(double, scratch, kWarp);
    const Part part = part_of(side.indptr, side.rows, side.entries, global_warp());
    const int lane = lane_index(), group = lane / LANES;
    const int chunk = static_cast<int>(blockIdx.y) * LANES + lane % LANES;
    T own[kSize], sum[kSize];
    load_or_zeros(side.own, part.row, side.stride, chunk, side.chunks, own);
    double penalty = start_sum(side, part, own, sum, group == 0), error_sum = 0.0;
    for (std::int64_t tile = part.begin; tile < part.end; tile += kWarp) {
        std::int32_t index = -1;
        T error = T(0);
        if (tile + lane < part.end) {
            index = side.indices[tile + lane];
            const std::int64_t position = positions == nullptr ? tile + lane : positions[tile + lane];
            error = errors[position];
        }
        error_sum += static_cast<double>(error);
        const int n = part.end - tile < kWarp ? static_cast<int>(part.end - tile) : kWarp;
        for (int first = 0; first < n; first += kGroups * kAhead) {
            T rows[kAhead][kSize];
            for (int a = 0; a < kAhead; ++a)
                load_or_zeros(side.other, shuffle(index, first + a * kGroups + group), side.stride, chunk, side.chunks,
                              rows[a]);
            for (int a = 0; a < kAhead; ++a) {
                const T e = shuffle(error, first + a * kGroups + group);
                for (int i = 0; i < kSize; ++i) sum[i] += e * rows[a][i];
            }
        }
    }
    store_sum<T, LANES>(side, part, chunk, sum);
    if (blockIdx.y == 0) penalty += store_bias(side, part, error_sum);
    penalty = block_sum(penalty, scratch);
    if (threadIdx.x == 0) penalties[static_cast<std::int64_t>(blockIdx.y) * gridDim.x + blockIdx.x] = penalty;
}

// Adds the later parts of long rows to their first: a block per stretch, which works where a row's second part begins.
// Per part its sums are read once, k / kPart elements per rating: small beside the passes. 256 threads, 2.5 KB of
// shared memory. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void join_kernel(Side<T> side) {
    FASTCF_SHARED(T, sums, kThreads);
    FASTCF_SHARED(double, scratch, kWarp);
    const std::int64_t slot = blockIdx.x + std::int64_t{1};
    const Part part = later_part(side.indptr, side.rows, side.entries, slot);
    const std::int64_t first = part.row < 0 ? 0 : side.indptr[part.row];
    if (part.row < 0 || part.begin != first + kPart) return;  // the whole block: all threads found the same
    const std::int64_t parts = (side.indptr[part.row + 1] - first - 1) / kPart;
    const std::int64_t size = static_cast<std::int64_t>(side.chunks) * kChunk<T>;
    for (std::int64_t f = 0; f < size; f += kWarp) {
        const bool inside = f + lane_index() < size;
        T sum = T(0);
        for (std::int64_t p = warp_index(); inside && p < parts; p += kWarpsPerBlock)
            sum += side.later_gradient[(slot + p) * size + f + lane_index()];
        sums[threadIdx.x] = sum;
        block_sync();
        if (warp_index() == 0 && inside) {
            for (int w = 1; w < kWarpsPerBlock; ++w) sum += sums[w * kWarp + lane_index()];
            side.gradient[part.row * side.gradient_stride + f + lane_index()] += sum;
        }
        block_sync();
    }
    double error_sum = 0.0;
    for (std::int64_t p = threadIdx.x; p < parts; p += kThreads) error_sum += side.later_error_sums[slot + p];
    error_sum = block_sum(error_sum, scratch);
    if (threadIdx.x == 0 && side.bias_gradient != nullptr) side.bias_gradient[part.row] += static_cast<T>(error_sum);
}

// One rating per eight lanes, whatever k is: predictions (`losses` null), or errors and their losses for rows too wide
// for forward_kernel. Per rating 2 k elements, of which the user's come from cache, and 2 k flops: bound by gathering
// items, on an H200 from memory at most 17 G ratings/s at k = 64 in float32. 256 threads, 1024 ratings a block.
// Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void score_kernel(Side<T> side, Target<T> target, Global<T> out, Global<double> losses) {
    FASTCF_SHARED(double, scratch, kWarp);
    const std::int64_t begin = blockIdx.x * kPairsPerBlock;
    const std::int64_t end = begin + kPairsPerBlock < side.entries ? begin + kPairsPerBlock : side.entries;
    double loss = 0.0;
    for (std::int64_t first = begin; first < end; first += kThreads / kPairLanes) {
        const std::int64_t e = first + threadIdx.x / kPairLanes;
        const std::int64_t user = e < end ? row_of(side.indptr, side.rows, e) : -1;
        const std::int32_t item = e < end ? side.indices[e] : -1;
        T product = T(0);
        for (int chunk = lane_index() % kPairLanes; chunk < side.chunks; chunk += kPairLanes) {
            T p[kChunk<T>], q[kChunk<T>];
            load_or_zeros(side.own, user, side.stride, chunk, side.chunks, p);
            load_or_zeros(side.other, item, side.stride, chunk, side.chunks, q);
            for (int i = 0; i < kChunk<T>; ++i) product += p[i] * q[i];
        }
        for (int mask = kPairLanes / 2; mask > 0; mask /= 2) product += shuffle_xor(product, mask);
        if (e >= end || lane_index() % kPairLanes != 0) continue;
        const T z = mf_prediction(at_or(target.item_offset, item, target.global_offset),
                                  at_or(side.own_bias, user, T(0)), at_or(target.item_bias, item, T(0)), product);
        if (losses == nullptr) {
            out[e] = target.logistic ? sigmoid(z) : z;
            continue;
        }
        T error;
        const T weight = at_or(target.weights, e, T(1));
        loss += static_cast<double>(weight * loss_of<T>(z, target.values[e], target.logistic, &error));
        out[e] = weight * error;
    }
    loss = block_sum(loss, scratch);
    if (threadIdx.x == 0 && losses != nullptr) losses[blockIdx.x] = loss;
}

// The sums of two arrays, one by each of two blocks of any size. Deterministic.
FASTCF_KERNEL(kSumThreads)
void sum_kernel(Global<const double> first, std::int64_t n_first, Global<const double> second, std::int64_t n_second,
                Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    const Global<const double> values = blockIdx.x == 0 ? first : second;
    const std::int64_t n = blockIdx.x == 0 ? n_first : n_second;
    double sum = 0.0;
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += values[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// Rows of another pitch, zeros where `from` has no columns. 8 bytes per element. 256 threads. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void repitch_kernel(Global<const T> from, std::int64_t from_stride, std::int64_t cols, Global<T> to,
                    std::int64_t to_stride, std::int64_t to_cols, std::int64_t n) {
    const std::int64_t e = global_thread(), row = e / to_cols, col = e % to_cols;
    if (e < n) to[row * to_stride + col] = col < cols ? from[row * from_stride + col] : T(0);
}

}  // namespace
}  // namespace fastcf
