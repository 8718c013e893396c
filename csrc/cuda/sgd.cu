#include <algorithm>
#include <cmath>

#include "core/interrupt.h"
#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "math/sgd.h"
#include "ops/sgd.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// Everything a launch needs. A unit of work is a tile, or a run of a tile where steps may race.
struct Epoch {
    Global<const SgdRun> runs;
    Global<const std::uint16_t> items;
    Global<const float> values, weights;
    Global<const std::int64_t> tile_ratings, tile_runs;  // where each tile begins, and the end
    Global<const std::int64_t> run_ratings;              // where each run begins; where steps may race
    Global<const std::int32_t> item_bounds;
    Global<float> user_bias, item_bias;
    Global<const float> user_rate, item_rate, user_bias_rate, item_bias_rate;
    std::int64_t stride;
    int user_blocks, item_blocks;
    float learning_rate, bias_learning_rate, offset;
    bool bias, logistic;
};

// Four factors of a row as float32, however they are stored. Racing: others may be adding to them.
template <bool Racing>
FASTCF_DEVICE float4 load_factors(Global<float> row, std::int64_t f) {
    return Racing ? racy_load4(row + f) : load4(row + f);
}
FASTCF_DEVICE void store_factors(Global<float> row, std::int64_t f, float4 value) {
    store4(row + f, value);
}
template <bool Racing>
FASTCF_DEVICE float4 load_factors(Global<std::uint16_t> row, std::int64_t f) {
    const Global<std::uint64_t> place = pointer_cast<std::uint64_t>(row + f);
    const std::uint64_t bits = Racing ? racy_load(place) : static_cast<std::uint64_t>(place[0]);
    return make_float4(to_float(half_from_bits(static_cast<std::uint16_t>(bits))),
                       to_float(half_from_bits(static_cast<std::uint16_t>(bits >> 16))),
                       to_float(half_from_bits(static_cast<std::uint16_t>(bits >> 32))),
                       to_float(half_from_bits(static_cast<std::uint16_t>(bits >> 48))));
}
FASTCF_DEVICE void store_factors(Global<std::uint16_t> row, std::int64_t f, float4 value) {
    pointer_cast<std::uint64_t>(row + f)[0] = static_cast<std::uint64_t>(half_bits(to_half(value.x))) |
                                              static_cast<std::uint64_t>(half_bits(to_half(value.y))) << 16 |
                                              static_cast<std::uint64_t>(half_bits(to_half(value.z))) << 32 |
                                              static_cast<std::uint64_t>(half_bits(to_half(value.w))) << 48;
}
// Brings an item's factors from `old` to `value`; where others race, by adding the difference, so that no step is lost.
template <bool Racing, class T>
FASTCF_DEVICE void step_item(Global<T> row, std::int64_t f, float4 old, float4 value) {
    if (Racing)
        atomic_add4(row + f, make_float4(value.x - old.x, value.y - old.y, value.z - old.z, value.w - old.w));
    else
        store_factors(row, f, value);
}

FASTCF_DEVICE float dot4(float4 a, float4 b) {
    return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}
struct MultiplyAdd {  // the compiler fuses it
    FASTCF_HD float operator()(float a, float b, float c) const { return a * b + c; }
};
FASTCF_DEVICE float4 stepped(float4 own, float4 other, float pull, float keep) {
    return make_float4(
        sgd_factor(own.x, other.x, pull, keep, MultiplyAdd{}), sgd_factor(own.y, other.y, pull, keep, MultiplyAdd{}),
        sgd_factor(own.z, other.z, pull, keep, MultiplyAdd{}), sgd_factor(own.w, other.w, pull, keep, MultiplyAdd{}));
}

FASTCF_DEVICE float read_bias(Global<float> bias, std::int64_t row, bool racing) {
    return racing ? racy_load(bias + row) : static_cast<float>(bias[row]);
}

// Some of an epoch's steps: unit after unit by groups of `Lanes` threads, each of which holds 4 `Chunks` factors of the
// run's user in registers (0 chunks: in memory, for rows beyond 512 factors; every factor is one thread's own) and
// fetches the next item's while it works on this one's.
//
// At stride s, with b bytes per factor (4, or 2 for halves), a step fetches and stores s b bytes of item row each, from
// L2 as far as the item block fits there, 2 s b / run length of user row and 6 bytes of rating, and takes 8 s flops.
// Racing, with the device full of runs, the bound is L2's bandwidth, or the 2 s b / run length + 6 bytes that come from
// memory: for runs of 13 ratings, k = 128 and halves 45 bytes, on an H200 at most 107 G steps/s (4.8 TB/s / 45 B); the
// item row's 512 bytes through L2 are the lower bound of the two. Deterministic, a group's chain of dependent steps is
// the bound: about one fetch from L2 a step. 256 threads; sums of the cost are float32 over a run, then float64, in a
// fixed order.
template <class T, bool Racing, int Lanes, int Chunks>
FASTCF_KERNEL(kThreads)
void sgd_kernel(Epoch epoch, Global<T> user_factors, Global<T> item_factors, int round, Global<double> costs) {
    FASTCF_SHARED(double, scratch, kWarp);
    constexpr int kGroups = kThreads / Lanes;
    constexpr int kHeld = Chunks > 0 ? Chunks : 1;
    const int part = lane_index() % Lanes;
    const std::int64_t unit = blockIdx.x * static_cast<std::int64_t>(kGroups) + threadIdx.x / Lanes;
    const int tiles = epoch.user_blocks < epoch.item_blocks ? epoch.user_blocks : epoch.item_blocks;
    const int k = Racing ? static_cast<int>(blockIdx.y) : static_cast<int>(unit < tiles ? unit : 0);
    const SgdTile where = sgd_tile(epoch.user_blocks, epoch.item_blocks, round, k);
    const std::int64_t tile = static_cast<std::int64_t>(where.user_block) * epoch.item_blocks + where.item_block;
    const std::int64_t first_item = epoch.item_bounds[where.item_block];
    std::int64_t run = 0, e = 0, end = 0;  // the unit's ratings are e to end, its runs begin at `run`
    if (Racing) {
        const std::int64_t begin = epoch.tile_runs[tile], last = epoch.tile_runs[tile + 1];
        run = begin + unit;
        if (run < last) {
            e = epoch.run_ratings[run];
            end = epoch.run_ratings[run + 1];
        }
    } else if (unit < tiles) {
        run = epoch.tile_runs[tile];
        e = epoch.tile_ratings[tile];
        end = epoch.tile_ratings[tile + 1];
    }

    const auto factor = [&](int c) { return static_cast<std::int64_t>(c) * Lanes * 4 + part * 4; };
    const int chunks = Chunks > 0 ? Chunks : static_cast<int>((epoch.stride + Lanes * 4 - 1) / (Lanes * 4));
    float4 p[kHeld] = {}, q[kHeld] = {}, q_next[kHeld] = {};
    std::int64_t user = 0, item = 0, next_item = 0;
    int left = 0;  // of the run
    float user_bias = 0.0f, user_keep = 0.0f, user_bias_keep = 0.0f;
    float run_cost = 0.0f;
    double cost = 0.0;
    const std::int64_t steps = warp_max(end - e);
    for (std::int64_t step = 0; step < steps; ++step, ++e) {
        const bool active = e < end;
        const bool first = active && left == 0;
        if (first) {
            const SgdRun now = epoch.runs[run++];
            user = now.user;
            left = now.length;
            user_keep = sgd_keep<float>(epoch.learning_rate, epoch.user_rate[user]);
            if (epoch.bias && part == 0) {
                user_bias = epoch.user_bias[user];
                user_bias_keep = sgd_keep<float>(epoch.bias_learning_rate, epoch.user_bias_rate[user]);
            }
            next_item = first_item + epoch.items[e];
        }
        const Global<T> user_row = user_factors + user * epoch.stride;
        float product = 0.0f, item_bias = 0.0f, item_keep = 0.0f;
        if (active) {
            item = next_item;
            const Global<T> item_row = item_factors + item * epoch.stride;
            if (left > 1) next_item = first_item + epoch.items[e + 1];
            const Global<T> next_row = item_factors + next_item * epoch.stride;
            item_keep = sgd_keep<float>(epoch.learning_rate, epoch.item_rate[item]);
            for (int c = 0; c < chunks; ++c) {
                if (factor(c) >= epoch.stride) continue;
                if (Chunks > 0) {
                    if (first) p[c] = load_factors<false>(user_row, factor(c));
                    q[c] = first ? load_factors<Racing>(item_row, factor(c)) : q_next[c];
                    // Items of a run differ, so this row is not about to change by this thread's own hand.
                    if (left > 1) q_next[c] = load_factors<Racing>(next_row, factor(c));
                    product += dot4(p[c], q[c]);
                } else {
                    product +=
                        dot4(load_factors<false>(user_row, factor(c)), load_factors<Racing>(item_row, factor(c)));
                }
            }
            if (epoch.bias && part == 0) {
                item_bias = read_bias(epoch.item_bias, item, Racing);
                product += user_bias + item_bias;
            }
        }
        for (int mask = Lanes / 2; mask > 0; mask /= 2) product += shuffle_xor(product, mask);
        if (!active) continue;

        const float value = epoch.values[e];
        const float weight = epoch.weights == nullptr ? 1.0f : epoch.weights[e];
        float error, loss;
        if (epoch.logistic) {
            float slope;
            loss = logistic_loss(epoch.offset + product, value, &slope);
            error = -slope;
        } else {
            error = sgd_error(value, product);
            loss = error * error;
        }
        const float weighted = weight * error;
        const float user_pull = sgd_pull(weighted, epoch.learning_rate, user_keep);
        const float item_pull = sgd_pull(weighted, epoch.learning_rate, item_keep);
        const Global<T> item_row = item_factors + item * epoch.stride;
        FASTCF_UNROLL_BY(kHeld)
        for (int c = 0; c < chunks; ++c) {
            if (factor(c) >= epoch.stride) continue;
            if (Chunks > 0) {
                step_item<Racing>(item_row, factor(c), q[c], stepped(q[c], p[c], item_pull, item_keep));
                p[c] = stepped(p[c], q[c], user_pull, user_keep);
                if (left == 1) store_factors(user_row, factor(c), p[c]);
            } else {
                const float4 old_p = load_factors<false>(user_row, factor(c));
                const float4 old_q = load_factors<Racing>(item_row, factor(c));
                step_item<Racing>(item_row, factor(c), old_q, stepped(old_q, old_p, item_pull, item_keep));
                store_factors(user_row, factor(c), stepped(old_p, old_q, user_pull, user_keep));
            }
        }
        if (part == 0) {
            run_cost += weight * loss;
            if (left == 1) {  // float64 is slow on most cards: once a run
                cost += static_cast<double>(run_cost);
                run_cost = 0.0f;
            }
            if (epoch.bias) {
                const float bias_step = weighted * epoch.bias_learning_rate;
                const float keep = sgd_keep<float>(epoch.bias_learning_rate, epoch.item_bias_rate[item]);
                const float new_bias = sgd_bias(item_bias, bias_step, keep);
                if (Racing)
                    atomic_add(epoch.item_bias + item, new_bias - item_bias);
                else
                    epoch.item_bias[item] = new_bias;
                user_bias = sgd_bias(user_bias, bias_step, user_bias_keep);
                if (left == 1) epoch.user_bias[user] = user_bias;
            }
        }
        --left;
    }
    cost = block_sum(cost, scratch);
    if (threadIdx.x == 0) costs[blockIdx.y * static_cast<std::int64_t>(gridDim.x) + blockIdx.x] = cost;
}

// 6 bytes per factor: 4 read and 2 written, or the other way round, once each per epoch. Bound by memory: on an H200 at
// most 800 G factors/s (4.8 TB/s / 6 B).
FASTCF_KERNEL(kThreads)
void to_halves_kernel(Global<const float> from, Global<std::uint16_t> to, std::int64_t n) {
    const std::int64_t e = global_thread();
    if (e < n) to[e] = half_bits(to_half(from[e]));
}
FASTCF_KERNEL(kThreads)
void from_halves_kernel(Global<const std::uint16_t> from, Global<float> to, std::int64_t n) {
    const std::int64_t e = global_thread();
    if (e < n) to[e] = to_float(half_from_bits(from[e]));
}

// One block: 8 bytes per value, latency-bound and short beside the epoch it closes. Deterministic.
FASTCF_KERNEL(kThreads)
void sum_kernel(Global<const double> values, std::int64_t n, Global<double> total) {
    FASTCF_SHARED(double, scratch, kWarp);
    double sum = 0.0;
    for (std::int64_t e = threadIdx.x; e < n; e += kThreads) sum += values[e];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) total[0] = sum;
}

struct Launcher {
    const Epoch& epoch;
    const SgdTiles& tiles;
    const std::vector<std::int32_t>& rounds;
    std::int64_t most_runs;  // of a tile

    template <class T, bool Racing, int Lanes, int Chunks>
    double run(T* user_factors, T* item_factors) const {
        constexpr int kGroups = kThreads / Lanes;
        const int parallel = tiles.tiles_per_round();
        const Grid grid = Racing ? Grid(blocks_for(most_runs, kGroups), parallel) : Grid(blocks_for(parallel, kGroups));
        const auto n_costs = static_cast<std::int64_t>(rounds.size()) * grid.x * grid.y;
        DeviceArray<double> costs(n_costs), total(1);
        for (std::size_t r = 0; r < rounds.size(); ++r) {
            if (interrupt_pending()) throw Interrupted();
            FASTCF_LAUNCH((sgd_kernel<T, Racing, Lanes, Chunks>), grid, kThreads, 0, epoch, user_factors, item_factors,
                          static_cast<int>(rounds[r]), costs.data() + static_cast<std::int64_t>(r) * grid.x * grid.y);
        }
        FASTCF_LAUNCH(sum_kernel, 1, kThreads, 0, costs.data(), n_costs, total.data());
        return total.to_host()[0];
    }

    template <class T, bool Racing>
    double run(T* user_factors, T* item_factors) const {
        const std::int64_t s = epoch.stride;
        if (s <= 16) return run<T, Racing, 4, 1>(user_factors, item_factors);
        if (s <= 32) return run<T, Racing, 8, 1>(user_factors, item_factors);
        if (s <= 64) return run<T, Racing, 16, 1>(user_factors, item_factors);
        if (s <= 128) return run<T, Racing, 32, 1>(user_factors, item_factors);
        if (s <= 256) return run<T, Racing, 32, 2>(user_factors, item_factors);
        if (s <= 512) return run<T, Racing, 32, 4>(user_factors, item_factors);
        return run<T, Racing, 32, 0>(user_factors, item_factors);
    }

    template <class T>
    double run(T* user_factors, T* item_factors) const {
        return tiles.grid.racing ? run<T, true>(user_factors, item_factors) : run<T, false>(user_factors, item_factors);
    }
};

void to_halves(const DeviceArray<float>& from, DeviceArray<std::uint16_t>& to) {
    to.reserve(from.size());
    FASTCF_LAUNCH(to_halves_kernel, blocks_for(from.size(), kThreads), kThreads, 0, from.data(), to.data(),
                  from.size());
}
void from_halves(const DeviceArray<std::uint16_t>& from, DeviceArray<float>& to) {
    FASTCF_LAUNCH(from_halves_kernel, blocks_for(to.size(), kThreads), kThreads, 0, from.data(), to.data(), to.size());
}

// What the device needs to know of the tiles, once.
void upload_tiles(const SgdTiles& tiles, SgdState& state) {
    state.tile_ratings = DeviceArray<std::int64_t>(tiles.rating_offsets);
    state.tile_runs = DeviceArray<std::int64_t>(tiles.run_offsets);
    state.item_bounds = DeviceArray<std::int32_t>(tiles.item_bounds);
    if (!tiles.grid.racing) return;
    std::vector<std::int64_t> starts{0};
    for (const SgdRun& run : tiles.runs.to_host()) starts.push_back(starts.back() + run.length);
    state.run_ratings = DeviceArray<std::int64_t>(starts);
}

}  // namespace

SgdGrid sgd_grid(std::int64_t n_ratings, std::int64_t, std::int64_t n_items, std::int64_t, bool deterministic) {
    // Racing: few rounds, of tiles that hold hundreds of thousands of runs in all. Deterministic: a tile for every
    // group of threads that fits the device, but no tiles of hardly any ratings.
    constexpr double kRacingRatingsPerTile = 160'000, kMostRacingTiles = 16;
    constexpr double kRatingsPerTile = 64, kMostTiles = 2048;
    constexpr std::int64_t kMostItemsPerBlock = 65535;
    const auto n = static_cast<double>(n_ratings);
    const double blocks = deterministic ? std::clamp(std::sqrt(n / kRatingsPerTile), 1.0, kMostTiles)
                                        : std::clamp(std::sqrt(n / kRacingRatingsPerTile), 1.0, kMostRacingTiles);
    SgdGrid grid;
    grid.user_blocks = static_cast<std::int64_t>(std::round(blocks));
    grid.item_blocks = std::max(grid.user_blocks, (n_items + kMostItemsPerBlock - 1) / kMostItemsPerBlock);
    grid.racing = !deterministic;
    return grid;
}

double sgd_epoch(const SgdTiles& tiles, const std::vector<std::int32_t>& rounds, SgdState& state, const SgdStep& step,
                 int) {
    if (tiles.n_ratings == 0) return 0.0;
    if (state.tile_runs.empty()) upload_tiles(tiles, state);
    const Epoch epoch{tiles.runs.data(),
                      tiles.items.data(),
                      tiles.values.data(),
                      tiles.weights.data(),
                      state.tile_ratings.data(),
                      state.tile_runs.data(),
                      state.run_ratings.data(),
                      state.item_bounds.data(),
                      state.user_bias.data(),
                      state.item_bias.data(),
                      state.user_rate.data(),
                      state.item_rate.data(),
                      state.user_bias_rate.data(),
                      state.item_bias_rate.data(),
                      state.stride,
                      tiles.user_blocks(),
                      tiles.item_blocks(),
                      step.learning_rate,
                      step.bias_learning_rate,
                      step.offset,
                      step.bias,
                      step.loss == Loss::logistic};
    std::int64_t most_runs = 0;
    for (std::size_t t = 0; t + 1 < tiles.run_offsets.size(); ++t)
        most_runs = std::max(most_runs, tiles.run_offsets[t + 1] - tiles.run_offsets[t]);
    const Launcher launcher{epoch, tiles, rounds, most_runs};
    if (!step.half) return launcher.run(state.user_factors.data(), state.item_factors.data());
    to_halves(state.user_factors, state.half_user_factors);
    to_halves(state.item_factors, state.half_item_factors);
    const auto finish = [&] {
        from_halves(state.half_user_factors, state.user_factors);
        from_halves(state.half_item_factors, state.item_factors);
    };
    try {
        const double cost = launcher.run(state.half_user_factors.data(), state.half_item_factors.data());
        finish();
        return cost;
    } catch (const Interrupted&) {
        finish();
        throw;
    }
}

}  // namespace fastcf
