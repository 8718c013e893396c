#include "ops/sampled.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "cpu/sampled_kernels.h"
#include "cpu/sgd_tasks.h"

namespace fastcf {
namespace {

// Two item blocks' factor rows: half of a 2 MiB L2, as in ops/sgd.
constexpr std::int64_t kPairBytes = std::int64_t{1} << 20;
constexpr double kChoicesPerTask = 160'000;
constexpr double kMostParallelTasks = 16;
constexpr std::int64_t kLeastItems = 64;  // of a block, so that what is drawn from one is not always the same

}  // namespace

SgdGrid sampled_grid(std::int64_t n_choices, std::int64_t, std::int64_t n_items, std::int64_t stride, int n_drawn) {
    const auto parallel = static_cast<std::int64_t>(
        std::clamp(std::round(std::sqrt(static_cast<double>(n_choices) / kChoicesPerTask)), 1.0, kMostParallelTasks));
    const std::int64_t row_bytes = stride * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t pair_items = std::max(kPairBytes / row_bytes, 2 * kLeastItems);
    const std::int64_t pairs = std::max(parallel, (n_items + pair_items - 1) / pair_items);
    SgdGrid grid;
    grid.user_blocks = parallel;
    grid.item_blocks =
        pairs == 1 ? 1 : std::clamp<std::int64_t>(2 * pairs, 1, std::max<std::int64_t>(n_items / kLeastItems, 1));
    const SampledTogether together = FASTCF_SELECT_ISA(sampled_kernels).together(static_cast<long>(stride), n_drawn);
    grid.interleave = together.runs;
    grid.together = together.choices;
    return grid;
}

void sampled_epoch(const SgdTiles& tiles, const SampledItems& items, const SampledPlan& plan, SgdState& state,
                   const SampledStep& step, int n_threads) {
    const std::vector<SgdTask> tasks = sgd_tasks(tiles.user_blocks(), plan.n_pairs(), plan.rounds);
    const AlignedBuffer<float> user_keep = sgd_kept(state.user_rate, step.learning_rate);
    const AlignedBuffer<float> item_keep = sgd_kept(state.item_rate, step.item_learning_rate);
    const AlignedBuffer<float> item_bias_keep = sgd_kept(state.item_rate, step.bias_learning_rate);
    const auto run_tile = FASTCF_SELECT_ISA(sampled_kernels).tile;
    const auto train_tile = [&](std::int64_t user_block, std::int64_t item_block) {
        const std::int64_t tile = user_block * tiles.item_blocks() + item_block;
        const std::int64_t first = tiles.rating_offsets[static_cast<std::size_t>(tile)];
        const std::int64_t first_run = tiles.run_offsets[static_cast<std::size_t>(tile)];
        const std::int64_t first_item = tiles.item_bounds[static_cast<std::size_t>(item_block)];
        const auto other = static_cast<std::size_t>(plan.partner[static_cast<std::size_t>(item_block)]);
        const std::int64_t first_drawn = tiles.item_bounds[other];
        SampledTileArgs args{};
        args.runs = tiles.runs.data() + first_run;
        args.n_runs = static_cast<long>(tiles.run_offsets[static_cast<std::size_t>(tile) + 1] - first_run);
        args.items = tiles.items.data() + first;
        args.weights = tiles.values.data() + first;
        args.user_factors = state.user_factors.data();
        args.user_keep = user_keep.data();
        args.item_factors = state.item_factors.data() + first_item * state.stride;
        args.item_bias = state.item_bias.data() + first_item;
        args.item_keep = item_keep.data() + first_item;
        args.item_bias_keep = item_bias_keep.data() + first_item;
        args.drawn_factors = state.item_factors.data() + first_drawn * state.stride;
        args.drawn_bias = state.item_bias.data() + first_drawn;
        args.correction = items.correction.empty() ? nullptr : items.correction.data() + first_drawn;
        args.slots = items.slots.data() + first_drawn;
        args.n_slots = static_cast<unsigned>(tiles.item_bounds[other + 1] - first_drawn);
        args.first_drawn = static_cast<unsigned>(first_drawn);
        args.share = items.share[other];
        args.key = plan.key;
        args.first_draw = static_cast<long>(step.by_user ? item_block << 40 : first * items.n_drawn);
        args.offsets = items.offsets.data();
        args.chosen = items.items.data();
        args.item_rows = items.item_rows.data();
        args.filter_begins = items.filter_begins.data();
        args.filter_shifts = items.filter_shifts.data();
        args.filter = items.filter.data();
        args.stride = static_cast<long>(state.stride);
        args.n_drawn = items.n_drawn;
        args.learning_rate = step.learning_rate;
        args.item_learning_rate = step.item_learning_rate;
        args.bias_learning_rate = step.bias_learning_rate;
        args.bias = step.bias;
        args.by_user = step.by_user;
        args.cost = step.cost;
        if (args.n_runs > 0) run_tile(args);
    };
    const auto run = [&](std::int64_t index, int) {
        const SgdTile& task = tasks[static_cast<std::size_t>(index)].tile;
        for (int half = 0; half < 2; ++half) {
            const std::int32_t item_block = plan.pairs[static_cast<std::size_t>(2 * task.item_block + half)];
            if (item_block >= 0) train_tile(task.user_block, item_block);
        }
    };
    const std::int64_t steps = tiles.n_ratings * (items.n_drawn + 1);
    const int threads = std::min({tiles.user_blocks(), plan.n_pairs(), threads_for(steps, n_threads)});
    parallel_graph(
        static_cast<std::int64_t>(tasks.size()), threads,
        [&](std::int64_t index) { return tasks[static_cast<std::size_t>(index)].after; }, run);
}

}  // namespace fastcf
