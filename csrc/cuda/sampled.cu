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
constexpr int kFew = 16;  // items drawn for a choice

// The numbers in shared memory of a group that draws n items.
FASTCF_HD constexpr int words_of(int n) {
    return 3 * n + 1;
}

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

// A round's tasks, one for each group of `Lanes` threads, choice after choice; each thread has 4 `Chunks` factors of
// the run's user in registers (0 chunks: in memory, for rows beyond 512 factors; every factor is one thread's own). The
// threads of a group share the drawing of items; one computes the slopes, which are short beside waiting for rows.
// Shared memory: 12 bytes for each item drawn and group.
//
// At stride s with n items drawn a choice fetches (n + 1) 8 s bytes of item rows, scores and steps apart, and stores
// (n + 1) 4 s, from L2 as far as the two item blocks fit there, 8 s / run length bytes of user row, and for each item
// drawn a slot, a filter's word and now and then a search of the user's choices. Bound by the group's chain of
// dependent fetches, about three from L2 a choice, as long as tasks are fewer than groups that fit the device; blocks
// must not have too few items to draw from, so small catalogues leave much of a device idle.
template <int Lanes, int Chunks>
FASTCF_KERNEL(kThreads, (Chunks == 4 ? 1 : 2))
void sampled_kernel(Choices all, int round) {
    FASTCF_DYNAMIC_SHARED(float, shared);
    constexpr int kGroups = kThreads / Lanes;
    constexpr int kHeld = Chunks > 0 ? Chunks : 1;
    const int part = lane_index() % Lanes;
    const std::int64_t unit = blockIdx.x * static_cast<std::int64_t>(kGroups) + threadIdx.x / Lanes;
    const int tasks = all.user_blocks < all.n_pairs ? all.user_blocks : all.n_pairs;
    const SgdTile task = sgd_tile(all.user_blocks, all.n_pairs, round, static_cast<int>(unit < tasks ? unit : 0));
    const auto factor = [&](int c) { return static_cast<std::int64_t>(c) * Lanes * 4 + part * 4; };
    const int chunks = Chunks > 0 ? Chunks : static_cast<int>((all.stride + Lanes * 4 - 1) / (Lanes * 4));
    const int n = all.n_drawn;
    const Shared<float> at = shared + (threadIdx.x / Lanes) * words_of(n);
    const Shared<float> counted = at + (n + 1), drawn = counted + n;  // drawn: offsets in an item block, below 2^16
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
            warp_sync();  // the last step has been read
            const bool active = e < end;
            const bool first = active && left == 0;
            if (first) {
                const SgdRun now = all.runs[run++];
                user = now.user;
                left = now.length;
                first_draw = all.by_user ? (static_cast<std::int64_t>(block) << 40) - e * all.n_drawn : 0;
                user_keep = sgd_keep<float>(all.learning_rate, all.user_rate[user]);
            }
            const Global<float> user_row = all.user_factors + user * all.stride;
            if (first && Chunks > 0)
                for (int c = 0; c < chunks; ++c)
                    if (factor(c) < all.stride) p[c] = load4(user_row + factor(c));
            std::int64_t item = first_item;
            if (active) {
                item += all.items[e];
                for (int m = part; m < n; m += Lanes) {
                    const std::int64_t draw = first_draw + e * n + m;
                    std::uint32_t coin;
                    const std::uint32_t slot = alias_slot(
                        half_word(random_word(all.key, static_cast<std::uint64_t>(draw / 2)), draw), n_slots, &coin);
                    const AliasSlot entry = all.slots[first_drawn + slot];
                    const std::int64_t offset = coin < entry.threshold ? static_cast<std::int64_t>(slot) : entry.alias;
                    drawn[m] = static_cast<float>(offset);
                    counted[m] = has_chosen(all, user, first_drawn + offset) ? 0.0f : share;
                }
            }
            warp_sync();
            const auto place_of = [&](int r) {
                if (r == 0) return item;
                const float offset = drawn[r - 1];
                return first_drawn + static_cast<std::int64_t>(offset);
            };
            const auto row_of = [&](int r) { return all.item_factors + place_of(r) * all.stride; };
            for (int r = 0; r <= n; ++r) {
                float product = 0.0f;
                if (active) {
                    const Global<float> row = row_of(r);
                    for (int c = 0; c < chunks; ++c)
                        if (factor(c) < all.stride)
                            product += dot_of(Chunks > 0 ? p[Chunks > 0 ? c : 0] : load4(user_row + factor(c)),
                                              load4(row + factor(c)));
                    if (part == 0) {
                        const std::int64_t place = place_of(r);
                        if (all.bias) product += all.item_bias[place];
                        if (r > 0 && all.correction != nullptr) product += all.correction[place];
                    }
                }
                for (int mask = Lanes / 2; mask > 0; mask /= 2) product += shuffle_xor(product, mask);
                if (part == 0) at[r] = product;
            }
            if (active && part == 0) {
                const float weight = all.weights[e];
                sampled_loss<float>(all.cost, n, at, counted);
                for (int r = 0; r <= n; ++r) {
                    const float slope = at[r];
                    at[r] = -weight * slope;
                }
            }
            warp_sync();
            if (!active) continue;
            const float own_pull = at[0];
            const float item_keep = sgd_keep<float>(all.item_learning_rate, all.item_rate[item]);
            FASTCF_UNROLL_BY(kHeld)
            for (int c = 0; c < chunks; ++c) {
                if (factor(c) >= all.stride) continue;
                const float4 p_old = Chunks > 0 ? p[Chunks > 0 ? c : 0] : load4(user_row + factor(c));
                const float4 q_old = load4(row_of(0) + factor(c));
                store4(row_of(0) + factor(c),
                       moved(q_old, p_old, sgd_pull(own_pull, all.item_learning_rate, item_keep), item_keep));
                float4 p_new = moved(p_old, q_old, sgd_pull(own_pull, all.learning_rate, user_keep), user_keep);
                for (int r = 1; r <= n; ++r) {
                    const float pull = at[r];
                    const Global<float> row = row_of(r) + factor(c);
                    const float4 o_old = load4(row);
                    store4(row, moved(o_old, p_old, pull * all.item_learning_rate, 1.0f));
                    p_new = moved(p_new, o_old, sgd_pull(pull, all.learning_rate, user_keep), 1.0f);
                }
                if (Chunks > 0) p[Chunks > 0 ? c : 0] = p_new;
                if (Chunks == 0 || left == 1) store4(user_row + factor(c), p_new);
            }
            if (part == 0 && all.bias) {
                const float keep = sgd_keep<float>(all.bias_learning_rate, all.item_rate[item]);
                const float own = all.item_bias[item];
                all.item_bias[item] = sgd_bias(own, own_pull * all.bias_learning_rate, keep);
                for (int r = 1; r <= n; ++r) {
                    const std::int64_t place = place_of(r);
                    const float other = all.item_bias[place], pull = at[r];
                    all.item_bias[place] = other + pull * all.bias_learning_rate;
                }
            }
            --left;
        }
    }
}

struct SampledLauncher {
    const Choices& all;
    const std::vector<std::int32_t>& rounds;

    template <int Lanes, int Chunks>
    void launch() const {
        const std::int64_t blocks = blocks_for(std::min(all.user_blocks, all.n_pairs), kThreads / Lanes);
        for (const std::int32_t round : rounds) {
            if (interrupt_pending()) throw Interrupted();
            FASTCF_LAUNCH((sampled_kernel<Lanes, Chunks>), blocks, kThreads,
                          4 * (kThreads / Lanes) * words_of(all.n_drawn), all, static_cast<int>(round));
        }
    }

    void run() const {
        const std::int64_t s = all.stride;
        const bool few = all.n_drawn <= kFew;  // many take too much shared memory for small groups
        if (s <= 16 && few) return launch<4, 1>();
        if (s <= 32 && few) return launch<8, 1>();
        if (s <= 64 && few) return launch<16, 1>();
        if (s <= 128) return launch<32, 1>();
        if (s <= 256) return launch<32, 2>();
        if (s <= 512) return launch<32, 4>();
        return launch<32, 0>();
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
    const SampledLauncher launcher{all, plan.rounds};
    launcher.run();
}

}  // namespace fastcf
