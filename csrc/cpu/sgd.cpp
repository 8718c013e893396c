#include "ops/sgd.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/aligned.h"
#include "core/parallel.h"
#include "cpu/sgd_kernels.h"
#include "cpu/sgd_tasks.h"

namespace fastcf {
namespace {

// An item block's factor rows: half of a 2 MiB L2. Chosen by that size; other sizes were not
// compared.
constexpr std::int64_t kItemBlockBytes = std::int64_t{1} << 20;
// A tile of about this many ratings keeps runs long; a grid of at most 16 x 16 keeps 16 threads busy.
constexpr double kRatingsPerTile = 160'000;
constexpr double kMostParallelTiles = 16;

}  // namespace

SgdGrid sgd_grid(std::int64_t n_ratings, std::int64_t, std::int64_t n_items, std::int64_t stride, bool) {
    const auto parallel = static_cast<std::int64_t>(
        std::clamp(std::round(std::sqrt(static_cast<double>(n_ratings) / kRatingsPerTile)), 1.0, kMostParallelTiles));
    const std::int64_t row_bytes = stride * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t most_items = std::max(kItemBlockBytes / row_bytes, std::int64_t{1});
    SgdGrid grid;
    grid.user_blocks = parallel;
    grid.item_blocks = std::max(parallel, (n_items + most_items - 1) / most_items);
    grid.interleave = FASTCF_SELECT_ISA(sgd_kernels).interleave(stride);
    return grid;
}

double sgd_epoch(const SgdTiles& tiles, const std::vector<std::int32_t>& rounds, SgdState& state, const SgdStep& step,
                 int n_threads) {
    check(!step.half, "sgd_epoch: factors as halves are for GPUs; on a CPU the conversions cost what the bytes save");
    const std::vector<SgdTask> tasks = sgd_tasks(tiles.user_blocks(), tiles.item_blocks(), rounds);
    const int item_blocks = tiles.item_blocks();
    const AlignedBuffer<float> user_keep = sgd_kept(state.user_rate, step.learning_rate);
    const AlignedBuffer<float> item_keep = sgd_kept(state.item_rate, step.learning_rate);
    const AlignedBuffer<float> user_bias_keep = sgd_kept(state.user_bias_rate, step.bias_learning_rate);
    const AlignedBuffer<float> item_bias_keep = sgd_kept(state.item_bias_rate, step.bias_learning_rate);
    const auto run_tile = FASTCF_SELECT_ISA(sgd_kernels).tile;
    std::vector<double> losses(tasks.size());
    const auto run = [&](std::int64_t index, int) {
        const SgdTask& task = tasks[static_cast<std::size_t>(index)];
        const std::int64_t tile = std::int64_t{task.tile.user_block} * item_blocks + task.tile.item_block;
        const std::int64_t first = tiles.rating_offsets[tile];
        const std::int64_t first_run = tiles.run_offsets[tile];
        const std::int64_t first_item = tiles.item_bounds[task.tile.item_block];
        SgdTileArgs args{};
        args.runs = tiles.runs.data() + first_run;
        args.n_runs = static_cast<long>(tiles.run_offsets[tile + 1] - first_run);
        args.items = tiles.items.data() + first;
        args.values = tiles.values.data() + first;
        args.weights = tiles.weights.size() > 0 ? tiles.weights.data() + first : nullptr;
        args.user_factors = state.user_factors.data();
        args.user_bias = state.user_bias.data();
        args.user_keep = user_keep.data();
        args.user_bias_keep = user_bias_keep.data();
        args.item_factors = state.item_factors.data() + first_item * state.stride;
        args.item_bias = state.item_bias.data() + first_item;
        args.item_keep = item_keep.data() + first_item;
        args.item_bias_keep = item_bias_keep.data() + first_item;
        args.stride = static_cast<long>(state.stride);
        args.learning_rate = step.learning_rate;
        args.bias_learning_rate = step.bias_learning_rate;
        args.offset = step.offset;
        args.bias = step.bias;
        args.loss = step.loss;
        losses[static_cast<std::size_t>(index)] = run_tile(args);
    };
    const int threads = std::min(tiles.tiles_per_round(), threads_for(tiles.n_ratings, n_threads));
    parallel_graph(
        static_cast<std::int64_t>(tasks.size()), threads,
        [&](std::int64_t index) { return tasks[static_cast<std::size_t>(index)].after; }, run);
    return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace fastcf
