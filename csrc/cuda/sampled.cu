#include <algorithm>
#include <cmath>

#include "core/interrupt.h"
#include "core/mix64.h"
#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "math/sampled.h"
#include "math/sgd.h"
#include "ops/sampled.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// Everything a launch needs.
struct Choices {
    Global<const SgdRun> runs;
    Global<const std::uint16_t> items;
    Global<const float> weights;
    Global<const std::int64_t> tile_choices, tile_runs;  // where each tile begins, and the end
    Global<const std::int32_t> item_bounds, pairs, partner;
    Global<float> user_factors, item_factors, item_bias;
    Global<const float> user_rate, item_rate;
    Global<const AliasSlot> slots;
    Global<const float> correction, block_share;
    Global<const std::int64_t> offsets;
    Global<const std::int32_t> chosen, item_rows;
    Global<const std::int64_t> filter_begins;
    Global<const std::int32_t> filter_shifts;
    Global<const std::uint32_t> filter;
    std::int64_t stride;
    int user_blocks, item_blocks, n_pairs, n_drawn;
    float learning_rate, item_learning_rate, bias_learning_rate;
    bool bias, by_user;
    SampledCost cost;
    std::uint64_t key;
};

FASTCF_DEVICE float dot_of(float4 a, float4 b) {
    return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}
struct MultiplyAdd {  // the compiler fuses it
    FASTCF_HD float operator()(float a, float b, float c) const { return a * b + c; }
};
FASTCF_DEVICE float4 moved(float4 own, float4 other, float pull, float keep) {
    return make_float4(
        sgd_factor(own.x, other.x, pull, keep, MultiplyAdd{}), sgd_factor(own.y, other.y, pull, keep, MultiplyAdd{}),
        sgd_factor(own.z, other.z, pull, keep, MultiplyAdd{}), sgd_factor(own.w, other.w, pull, keep, MultiplyAdd{}));
}

FASTCF_DEVICE bool has_chosen(const Choices& all, std::int64_t user, std::int64_t item) {
    const int shift = all.filter_shifts[user];
    const FilterPlace place = filter_place(static_cast<std::uint32_t>(item), shift);
    const std::uint32_t word = all.filter[all.filter_begins[user] + place.word];
    if ((word & place.bits) != place.bits) return false;
    if (shift == 0) return true;
    const std::int32_t row = all.item_rows[item];
    std::int64_t low = all.offsets[user], high = all.offsets[user + 1];
    const std::int64_t end = high;
    while (low < high) {
        const std::int64_t middle = (low + high) / 2;
        if (all.chosen[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == end) return false;
    const std::int32_t found = all.chosen[low];
    return found == row;
}

// An array of a thread's own, in registers, or one in shared memory.
template <bool Own, class T, class Other>
FASTCF_DEVICE auto either(T* own, Other other) {
    if constexpr (Own)
        return own;
    else
        return other;
}

// A round's tasks, one for each group of `Lanes` threads, choice after choice; each thread has 4 `Chunks` factors of
// the run's user in registers (0 chunks: in memory, for rows beyond 512 factors; every factor is one thread's own). One
// item drawn: all threads of a group draw it and compute the slopes, in registers. More: a group is a warp, whose
// threads share the drawing; scores, slopes and items are in shared memory, 12 bytes an item, and one thread computes
// the slopes, short beside waiting for rows as long as items are few.
//
// At stride s with n items drawn a choice fetches (n + 1) 8 s bytes of item rows, scores and steps apart, and stores
// (n + 1) 4 s, from L2 as far as the two item blocks fit there, 8 s / run length bytes of user row, and for each item
// drawn a slot, a filter's word and now and then a search of the user's choices. Bound by the group's chain of
// dependent fetches, about three from L2 a choice, as long as tasks are fewer than groups that fit the device; blocks
// must not have too few items to draw from, so small catalogues leave much of a device idle. Two blocks at a time: more
// would spill registers.
template <int Lanes, int Chunks, bool One>
FASTCF_KERNEL(kThreads, 2)
void sampled_kernel(Choices all, int round) {
    constexpr int kGroups = kThreads / Lanes;
    constexpr int kHeld = Chunks > 0 ? Chunks : 1;
    const int part = lane_index() % Lanes;
    const std::int64_t unit = blockIdx.x * static_cast<std::int64_t>(kGroups) + threadIdx.x / Lanes;
    const int tasks = all.user_blocks < all.n_pairs ? all.user_blocks : all.n_pairs;
    const SgdTile task = sgd_tile(all.user_blocks, all.n_pairs, round, static_cast<int>(unit < tasks ? unit : 0));
    const auto factor = [&](int c) { return static_cast<std::int64_t>(c) * Lanes * 4 + part * 4; };
    const int chunks = Chunks > 0 ? Chunks : static_cast<int>((all.stride + Lanes * 4 - 1) / (Lanes * 4));
    static_assert(One || Lanes == kWarp);
    FASTCF_DYNAMIC_SHARED(float, shared);
    const int n = One ? 1 : all.n_drawn;
    float own_at[2] = {}, own_counted[1] = {};
    std::int32_t own_drawn[1] = {};
    const auto at = either<One>(own_at, shared + (threadIdx.x / Lanes) * (3 * n + 1));
    const auto counted = either<One>(own_counted, shared + (threadIdx.x / Lanes) * (3 * n + 1) + n + 1);
    const auto drawn =
        either<One>(own_drawn, pointer_cast<std::int32_t>(shared + (threadIdx.x / Lanes) * (3 * n + 1) + 2 * n + 1));
    const auto sync = [&] {
        if (!One) warp_sync();
    };
    for (int half = 0; half < 2; ++half) {
        const std::int32_t block = all.pairs[2 * task.item_block + half];
        std::int64_t run = 0, e = 0, end = 0, first_item = 0, first_drawn = 0;
        std::uint32_t n_slots = 1;
        float share = 0.0f;
        if (unit < tasks && block >= 0) {
            const std::int64_t tile = static_cast<std::int64_t>(task.user_block) * all.item_blocks + block;
            run = all.tile_runs[tile];
            e = all.tile_choices[tile];
            end = all.tile_choices[tile + 1];
            first_item = all.item_bounds[block];
            const std::int32_t other = all.partner[block];
            first_drawn = all.item_bounds[other];
            n_slots = static_cast<std::uint32_t>(all.item_bounds[other + 1] - first_drawn);
            share = all.block_share[other];
        }
        float4 p[kHeld] = {};
        std::int64_t user = 0, first_draw = 0;
        int left = 0;  // of the run
        float user_keep = 0.0f;
        const std::int64_t steps = warp_max(end - e);
        for (std::int64_t step = 0; step < steps; ++step, ++e) {
            const bool active = e < end;
            const bool first = active && left == 0;
            if (first) {
                const SgdRun now = all.runs[run++];
                user = now.user;
                left = now.length;
                first_draw = all.by_user ? (static_cast<std::int64_t>(block) << 40) - e * n : 0;
                user_keep = sgd_keep<float>(all.learning_rate, all.user_rate[user]);
            }
            const Global<float> user_row = all.user_factors + user * all.stride;
            if (first && Chunks > 0)
                for (int c = 0; c < chunks; ++c)
                    if (factor(c) < all.stride) p[c] = load4(user_row + factor(c));
            std::int64_t item = first_item;
            if (active) {
                item += all.items[e];
                FASTCF_NO_UNROLL
                for (int m = One ? 0 : part; m < n; m += One ? 1 : Lanes) {
                    const std::int64_t draw = first_draw + e * n + m;
                    std::uint32_t coin;
                    const std::uint32_t slot = alias_slot(
                        half_word(random_word(all.key, static_cast<std::uint64_t>(draw / 2)), draw), n_slots, &coin);
                    const AliasSlot entry = all.slots[first_drawn + slot];
                    const auto place = static_cast<std::int32_t>(
                        first_drawn + (coin < entry.threshold ? static_cast<std::int64_t>(slot) : entry.alias));
                    drawn[m] = place;
                    counted[m] = has_chosen(all, user, place) ? 0.0f : share;
                }
                sync();
            }
            const auto place_of = [&](int r) {
                if (r == 0) return item;
                const std::int32_t place = drawn[r - 1];
                return static_cast<std::int64_t>(place);
            };
            FASTCF_UNROLL_BY(One ? 2 : 1)
            for (int r = 0; r <= n; ++r) {
                float product = 0.0f;
                if (active) {
                    const std::int64_t place = place_of(r);
                    const Global<float> row = all.item_factors + place * all.stride;
                    for (int c = 0; c < chunks; ++c)
                        if (factor(c) < all.stride)
                            product += dot_of(Chunks > 0 ? p[Chunks > 0 ? c : 0] : load4(user_row + factor(c)),
                                              load4(row + factor(c)));
                    if (part == 0) {
                        if (all.bias) product += all.item_bias[place];
                        if (r > 0 && all.correction != nullptr) product += all.correction[place];
                    }
                }
                for (int mask = Lanes / 2; mask > 0; mask /= 2) product += shuffle_xor(product, mask);
                if (One || part == 0) at[r] = product;
            }
            if (!active) continue;
            const float weight = all.weights[e];
            if (One || part == 0) {
                sampled_loss<float>(all.cost, n, at, counted);
                FASTCF_UNROLL_BY(One ? 2 : 1)
                for (int r = 0; r <= n; ++r) {
                    const float slope = at[r];
                    at[r] = -weight * slope;
                }
            }
            sync();
            const float own_slope = at[0];
            const float item_keep = sgd_keep<float>(all.item_learning_rate, all.item_rate[item]);
            const float own_pull = sgd_pull(own_slope, all.item_learning_rate, item_keep);
            const float user_pull = sgd_pull(own_slope, all.learning_rate, user_keep);
            const Global<float> own_row = all.item_factors + item * all.stride;
            FASTCF_UNROLL_BY(kHeld)
            for (int c = 0; c < chunks; ++c) {
                if (factor(c) >= all.stride) continue;
                const float4 p_old = Chunks > 0 ? p[Chunks > 0 ? c : 0] : load4(user_row + factor(c));
                const float4 q_old = load4(own_row + factor(c));
                store4(own_row + factor(c), moved(q_old, p_old, own_pull, item_keep));
                float4 p_new = moved(p_old, q_old, user_pull, user_keep);
                FASTCF_UNROLL_BY(One ? 2 : 1)
                for (int r = 1; r <= n; ++r) {
                    const Global<float> row = all.item_factors + place_of(r) * all.stride + factor(c);
                    const float slope = at[r];
                    const float4 o_old = load4(row);
                    store4(row, moved(o_old, p_old, slope * all.item_learning_rate, 1.0f));
                    p_new = moved(p_new, o_old, sgd_pull(slope, all.learning_rate, user_keep), 1.0f);
                }
                if (Chunks > 0) p[Chunks > 0 ? c : 0] = p_new;
                if (Chunks == 0 || left == 1) store4(user_row + factor(c), p_new);
            }
            if (part == 0 && all.bias) {
                const float keep = sgd_keep<float>(all.bias_learning_rate, all.item_rate[item]);
                const float own = all.item_bias[item];
                all.item_bias[item] = sgd_bias(own, own_slope * all.bias_learning_rate, keep);
                FASTCF_UNROLL_BY(One ? 2 : 1)
                for (int r = 1; r <= n; ++r) {
                    const std::int64_t place = place_of(r);
                    const float other = all.item_bias[place], slope = at[r];
                    all.item_bias[place] = other + slope * all.bias_learning_rate;
                }
            }
            sync();
            --left;
        }
    }
}

struct SampledLauncher {
    const Choices& all;
    const std::vector<std::int32_t>& rounds;

    template <int Lanes, int Chunks, bool One>
    void run() const {
        constexpr int kGroups = kThreads / Lanes;
        const std::int64_t blocks = blocks_for(std::min(all.user_blocks, all.n_pairs), kGroups);
        // One item drawn: nothing of it is touched.
        const std::int64_t floats = One ? 1 : static_cast<std::int64_t>(kGroups) * (3 * all.n_drawn + 1);
        const std::int64_t bytes = floats * static_cast<std::int64_t>(sizeof(float));
        for (const std::int32_t round : rounds) {
            if (interrupt_pending()) throw Interrupted();
            FASTCF_LAUNCH((sampled_kernel<Lanes, Chunks, One>), blocks, kThreads, bytes, all, static_cast<int>(round));
        }
    }

    void run() const {
        const std::int64_t s = all.stride;
        if (all.n_drawn > 1) {
            if (s <= 128) return run<32, 1, false>();
            if (s <= 256) return run<32, 2, false>();
            if (s <= 512) return run<32, 4, false>();
            return run<32, 0, false>();
        }
        if (s <= 16) return run<4, 1, true>();
        if (s <= 32) return run<8, 1, true>();
        if (s <= 64) return run<16, 1, true>();
        if (s <= 128) return run<32, 1, true>();
        if (s <= 256) return run<32, 2, true>();
        if (s <= 512) return run<32, 4, true>();
        return run<32, 0, true>();
    }
};

}  // namespace

SgdGrid sampled_grid(std::int64_t n_choices, std::int64_t, std::int64_t n_items, std::int64_t, int) {
    // A task for every group of threads that fits the device, as far as blocks have items to draw from.
    constexpr double kChoicesPerTask = 64, kMostTasks = 2048;
    constexpr std::int64_t kLeastItems = 64, kMostItemsPerBlock = 65535;
    const double tasks = std::clamp(std::sqrt(static_cast<double>(n_choices) / kChoicesPerTask), 1.0, kMostTasks);
    const auto wanted = static_cast<std::int64_t>(std::round(tasks));
    const std::int64_t most = std::max<std::int64_t>(n_items / kLeastItems, 1);
    const std::int64_t least = (n_items + kMostItemsPerBlock - 1) / kMostItemsPerBlock;
    SgdGrid grid;
    grid.item_blocks = std::max({std::min(wanted == 1 ? 1 : 2 * wanted, most), least, std::int64_t{1}});
    grid.user_blocks = std::min(wanted, (grid.item_blocks + 1) / 2);
    return grid;
}

void sampled_epoch(const SgdTiles& tiles, const SampledItems& items, const SampledPlan& plan, SgdState& state,
                   const SampledStep& step, int) {
    if (tiles.n_ratings == 0) return;
    if (state.tile_runs.empty()) {  // what the device needs to know of the tiles, once
        state.tile_ratings = DeviceArray<std::int64_t>(tiles.rating_offsets);
        state.tile_runs = DeviceArray<std::int64_t>(tiles.run_offsets);
        state.item_bounds = DeviceArray<std::int32_t>(tiles.item_bounds);
    }
    const DeviceArray<std::int32_t> pairs(plan.pairs), partner(plan.partner);
    const Choices all{tiles.runs.data(),
                      tiles.items.data(),
                      tiles.values.data(),
                      state.tile_ratings.data(),
                      state.tile_runs.data(),
                      state.item_bounds.data(),
                      pairs.data(),
                      partner.data(),
                      state.user_factors.data(),
                      state.item_factors.data(),
                      state.item_bias.data(),
                      state.user_rate.data(),
                      state.item_rate.data(),
                      items.slots.data(),
                      items.correction.data(),
                      items.block_share.data(),
                      items.offsets.data(),
                      items.items.data(),
                      items.item_rows.data(),
                      items.filter_begins.data(),
                      items.filter_shifts.data(),
                      items.filter.data(),
                      state.stride,
                      tiles.user_blocks(),
                      tiles.item_blocks(),
                      plan.n_pairs(),
                      items.n_drawn,
                      step.learning_rate,
                      step.item_learning_rate,
                      step.bias_learning_rate,
                      step.bias,
                      step.by_user,
                      step.cost,
                      plan.key};
    SampledLauncher{all, plan.rounds}.run();
}

}  // namespace fastcf
