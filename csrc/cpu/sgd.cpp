#include "ops/sgd.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/parallel.h"
#include "core/rng.h"
#include "cpu/sgd_kernels.h"

namespace fastcf {
namespace {

// An item block's factor rows: half of a 2 MiB L2. Chosen by that size; other sizes were not
// compared.
constexpr std::int64_t kItemBlockBytes = std::int64_t{1} << 20;
constexpr std::int64_t kMostItemsPerBlock = 65535;  // positions within a block are 16 bits
// A tile of about this many ratings keeps runs long; a grid of at most 16 x 16 keeps 16 threads busy.
constexpr double kRatingsPerTile = 160'000;
constexpr double kMostParallelTiles = 16;

enum Stream : std::uint64_t { kUserOrder = 1, kItemOrder = 2, kRoundOrder = 3 };

std::vector<std::int32_t> random_positions(std::int64_t n, std::uint64_t seed, Stream stream) {
    std::vector<std::int32_t> position(static_cast<std::size_t>(n));
    std::iota(position.begin(), position.end(), 0);
    shuffle(position.data(), n, Rng(seed, stream));
    return position;
}

std::vector<std::int32_t> inverse(const std::vector<std::int32_t>& position) {
    std::vector<std::int32_t> order(position.size());
    for (std::size_t i = 0; i < position.size(); ++i)
        order[static_cast<std::size_t>(position[i])] = static_cast<std::int32_t>(i);
    return order;
}

// Cuts [0, n) into blocks of about equal total count, none larger than `most` positions.
template <class Count>
std::vector<std::int32_t> balanced_bounds(std::int64_t n, std::int64_t blocks, std::int64_t most, std::int64_t total,
                                          Count count) {
    std::vector<std::int32_t> bounds{0};
    std::int64_t reached = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto made = static_cast<std::int64_t>(bounds.size());
        if (i > bounds.back() && (reached * blocks >= total * made || i - bounds.back() == most))
            bounds.push_back(static_cast<std::int32_t>(i));
        reached += count(i);
    }
    bounds.push_back(static_cast<std::int32_t>(n));
    return bounds;
}

// Where the ratings of one run go: step t at base + t * interleave + lane while t < shared, then at rest + t - shared.
struct RunPlace {
    std::int64_t base = 0;
    std::int64_t rest = 0;
    std::int32_t shared = 0;
    std::int32_t next = 0;
};

struct ItemPlace {
    std::int32_t block;
    std::uint16_t local;
};

// 1 / (1 + lr rate) for every row: what a row keeps at each of its ratings.
AlignedBuffer<float> kept(const AlignedBuffer<float>& rates, float learning_rate) {
    AlignedBuffer<float> keep(rates.size());
    for (std::int64_t r = 0; r < rates.size(); ++r) keep[r] = 1.0f / (1.0f + learning_rate * rates[r]);
    return keep;
}

class TileBuilder {
  public:
    TileBuilder(const CsrView& ratings, const float* weights, const float* item_offset, float global_offset,
                SgdTiles& tiles)
        : ratings_(ratings),
          weights_(weights),
          item_offset_(item_offset),
          global_offset_(global_offset),
          tiles_(tiles),
          user_order_(inverse(tiles.user_position)),
          item_places_(static_cast<std::size_t>(ratings.cols)) {
        for (int b = 0; b < tiles.item_blocks(); ++b)
            block_of_position_.insert(block_of_position_.end(),
                                      static_cast<std::size_t>(tiles.item_bounds[b + 1] - tiles.item_bounds[b]), b);
        for (std::size_t i = 0; i < item_places_.size(); ++i) {
            const std::int32_t position = tiles.item_position[i];
            const std::int32_t block = block_of_position_[static_cast<std::size_t>(position)];
            item_places_[i] = {block, static_cast<std::uint16_t>(position - tiles.item_bounds[block])};
        }
    }

    // Fills rating_offsets[t + 1] and run_offsets[t + 1] with the sizes of the tiles of this user block.
    void count(std::int64_t user_block) {
        const std::int64_t first_tile = user_block * tiles_.item_blocks();
        for (const UserRun& run : find_runs(user_block)) {
            tiles_.rating_offsets[static_cast<std::size_t>(first_tile + run.block + 1)] += run.length;
            ++tiles_.run_offsets[static_cast<std::size_t>(first_tile + run.block + 1)];
        }
    }

    void fill(std::int64_t user_block) {
        const std::int64_t first_tile = user_block * tiles_.item_blocks();
        const std::vector<UserRun> runs = find_runs(user_block);
        const auto length = [&](std::int64_t run) { return runs[static_cast<std::size_t>(run)].length; };
        std::vector<std::vector<std::int64_t>> of_item_block(static_cast<std::size_t>(tiles_.item_blocks()));
        for (std::size_t run = 0; run < runs.size(); ++run)
            of_item_block[static_cast<std::size_t>(runs[run].block)].push_back(static_cast<std::int64_t>(run));
        std::vector<RunPlace> places(runs.size());
        for (std::size_t b = 0; b < of_item_block.size(); ++b) {
            std::vector<std::int64_t>& order = of_item_block[b];
            std::stable_sort(order.begin(), order.end(), [&](auto x, auto y) { return length(x) > length(y); });
            place_runs(order, first_tile + static_cast<std::int64_t>(b), runs, places);
            std::vector<std::int64_t>().swap(order);
        }
        std::vector<std::int64_t> run_in(static_cast<std::size_t>(tiles_.item_blocks()));  // of the user at hand
        std::size_t run = 0;
        for (std::int32_t u = tiles_.user_bounds[user_block]; u < tiles_.user_bounds[user_block + 1]; ++u) {
            for (; run < runs.size() && runs[run].user == u; ++run)
                run_in[static_cast<std::size_t>(runs[run].block)] = static_cast<std::int64_t>(run);
            const std::int32_t row = user_order_[static_cast<std::size_t>(u)];
            for (std::int64_t e = ratings_.indptr[row]; e < ratings_.indptr[row + 1]; ++e) {
                const std::int32_t item = ratings_.indices[e];
                const ItemPlace where = item_places_[static_cast<std::size_t>(item)];
                RunPlace& place = places[static_cast<std::size_t>(run_in[static_cast<std::size_t>(where.block)])];
                const std::int64_t to = place.next < place.shared
                                            ? place.base + std::int64_t{place.next} * tiles_.interleave
                                            : place.rest + place.next - place.shared;
                ++place.next;
                tiles_.items[to] = where.local;
                tiles_.values[to] =
                    ratings_.values[e] - (item_offset_ != nullptr ? item_offset_[item] : global_offset_);
                if (weights_ != nullptr) tiles_.weights[to] = weights_[e];
            }
        }
    }

  private:
    struct UserRun {
        std::int32_t user, block, length;
    };
    // The runs of a user block in the order of users: memory for what is there, not for users times item blocks.
    std::vector<UserRun> find_runs(std::int64_t user_block) const {
        std::vector<UserRun> runs;
        std::vector<std::int32_t> lengths(static_cast<std::size_t>(tiles_.item_blocks()));
        for (std::int32_t u = tiles_.user_bounds[user_block]; u < tiles_.user_bounds[user_block + 1]; ++u) {
            const std::size_t first = runs.size();
            const std::int32_t row = user_order_[static_cast<std::size_t>(u)];
            for (std::int64_t e = ratings_.indptr[row]; e < ratings_.indptr[row + 1]; ++e) {
                const std::int32_t b = item_places_[static_cast<std::size_t>(ratings_.indices[e])].block;
                if (lengths[static_cast<std::size_t>(b)]++ == 0) runs.push_back({u, b, 0});
            }
            for (std::size_t run = first; run < runs.size(); ++run)
                runs[run].length = std::exchange(lengths[static_cast<std::size_t>(runs[run].block)], 0);
        }
        return runs;
    }

    void place_runs(const std::vector<std::int64_t>& order, std::int64_t tile, const std::vector<UserRun>& runs,
                    std::vector<RunPlace>& places) {
        const std::size_t width = static_cast<std::size_t>(tiles_.interleave);
        std::int64_t cursor = tiles_.rating_offsets[static_cast<std::size_t>(tile)];
        SgdRun* to = tiles_.runs.data() + tiles_.run_offsets[static_cast<std::size_t>(tile)];
        for (std::size_t g = 0; g < order.size(); g += width) {
            const std::size_t n = std::min(width, order.size() - g);
            const std::int32_t shared = n == width ? runs[static_cast<std::size_t>(order[g + width - 1])].length : 0;
            std::int64_t rest = cursor + shared * tiles_.interleave;
            for (std::size_t j = 0; j < n; ++j) {
                const UserRun& run = runs[static_cast<std::size_t>(order[g + j])];
                *to++ = {run.user, run.length};
                places[static_cast<std::size_t>(order[g + j])] = {cursor + static_cast<std::int64_t>(j), rest, shared,
                                                                  0};
                rest += run.length - shared;
            }
            cursor = rest;
        }
    }

    const CsrView& ratings_;
    const float* weights_;
    const float* item_offset_;
    float global_offset_;
    SgdTiles& tiles_;
    std::vector<std::int32_t> user_order_;
    std::vector<std::int32_t> block_of_position_;
    std::vector<ItemPlace> item_places_;
};

}  // namespace

int sgd_interleave(std::int64_t stride) {
    return FASTCF_SELECT_ISA(sgd_kernels).interleave(stride);
}

SgdTiles build_sgd_tiles(const CsrView& ratings, const float* weights, const float* item_offset, float global_offset,
                         std::int64_t stride, std::uint64_t seed, int n_threads) {
    SgdTiles tiles;
    const std::int64_t n = ratings.nnz();
    tiles.n_users = ratings.rows;
    tiles.n_items = ratings.cols;
    tiles.n_ratings = n;
    tiles.interleave = sgd_interleave(stride);
    tiles.user_position = random_positions(ratings.rows, seed, kUserOrder);
    tiles.item_position = random_positions(ratings.cols, seed, kItemOrder);

    const auto parallel = static_cast<std::int64_t>(
        std::clamp(std::round(std::sqrt(static_cast<double>(n) / kRatingsPerTile)), 1.0, kMostParallelTiles));
    const std::int64_t row_bytes = stride * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t most_items = std::clamp(kItemBlockBytes / row_bytes, std::int64_t{1}, kMostItemsPerBlock);
    const std::int64_t item_blocks = std::max(parallel, (ratings.cols + most_items - 1) / most_items);
    std::vector<std::int64_t> item_counts(static_cast<std::size_t>(ratings.cols));
    for (std::int64_t e = 0; e < n; ++e) ++item_counts[static_cast<std::size_t>(ratings.indices[e])];
    const std::vector<std::int32_t> user_order = inverse(tiles.user_position);
    const std::vector<std::int32_t> item_order = inverse(tiles.item_position);
    tiles.user_bounds = balanced_bounds(ratings.rows, parallel, ratings.rows, n,
                                        [&](std::int64_t i) { return ratings.row_size(user_order[i]); });
    tiles.item_bounds = balanced_bounds(ratings.cols, item_blocks, kMostItemsPerBlock, n,
                                        [&](std::int64_t i) { return item_counts[item_order[i]]; });

    const std::size_t n_tiles = static_cast<std::size_t>(tiles.user_blocks()) * tiles.item_blocks();
    tiles.rating_offsets.assign(n_tiles + 1, 0);
    tiles.run_offsets.assign(n_tiles + 1, 0);
    n_threads = threads_for(n, n_threads);
    TileBuilder builder(ratings, weights, item_offset, global_offset, tiles);
    parallel_for(tiles.user_blocks(), n_threads, [&](std::int64_t block, int) { builder.count(block); });
    std::partial_sum(tiles.rating_offsets.begin(), tiles.rating_offsets.end(), tiles.rating_offsets.begin());
    std::partial_sum(tiles.run_offsets.begin(), tiles.run_offsets.end(), tiles.run_offsets.begin());
    tiles.runs.resize(static_cast<std::size_t>(tiles.run_offsets.back()));
    tiles.items = AlignedBuffer<std::uint16_t>(n);
    tiles.values = AlignedBuffer<float>(n);
    if (weights != nullptr) tiles.weights = AlignedBuffer<float>(n);
    parallel_for(tiles.user_blocks(), n_threads, [&](std::int64_t block, int) { builder.fill(block); });
    return tiles;
}

std::vector<SgdTask> sgd_tasks(const SgdTiles& tiles, std::uint64_t round_seed) {
    const int user_blocks = tiles.user_blocks();
    const int item_blocks = tiles.item_blocks();
    const int n_rounds = std::max(user_blocks, item_blocks);
    const int n_parallel = std::min(user_blocks, item_blocks);
    std::vector<std::int32_t> rounds(static_cast<std::size_t>(n_rounds));
    std::iota(rounds.begin(), rounds.end(), 0);
    shuffle(rounds.data(), n_rounds, Rng(round_seed, kRoundOrder));
    // A tile waits for the tiles before it of its user block and of its item block, not for the whole round.
    std::vector<SgdTask> tasks;
    std::vector<std::int64_t> last_of_users(static_cast<std::size_t>(user_blocks), -1);
    std::vector<std::int64_t> last_of_items(static_cast<std::size_t>(item_blocks), -1);
    for (const std::int32_t round : rounds)
        for (int k = 0; k < n_parallel; ++k) {
            const int shifted = (k + round) % n_rounds;
            const int user_block = user_blocks <= item_blocks ? k : shifted;
            const int item_block = user_blocks <= item_blocks ? shifted : k;
            std::int64_t& user_last = last_of_users[static_cast<std::size_t>(user_block)];
            std::int64_t& item_last = last_of_items[static_cast<std::size_t>(item_block)];
            const auto task = static_cast<std::int64_t>(tasks.size());
            tasks.push_back({user_block, item_block, {user_last, item_last}});
            user_last = item_last = task;
        }
    return tasks;
}

double sgd_epoch(const SgdTiles& tiles, SgdState& state, const SgdStep& step, int n_threads) {
    const std::vector<SgdTask> tasks = sgd_tasks(tiles, step.round_seed);
    const int item_blocks = tiles.item_blocks();
    const AlignedBuffer<float> user_keep = kept(state.user_rate, step.learning_rate);
    const AlignedBuffer<float> item_keep = kept(state.item_rate, step.learning_rate);
    const AlignedBuffer<float> user_bias_keep = kept(state.user_bias_rate, step.bias_learning_rate);
    const AlignedBuffer<float> item_bias_keep = kept(state.item_bias_rate, step.bias_learning_rate);
    const auto run_tile = FASTCF_SELECT_ISA(sgd_kernels).tile;
    std::vector<double> losses(tasks.size());
    const auto run = [&](std::int64_t index, int) {
        const SgdTask& task = tasks[static_cast<std::size_t>(index)];
        const std::int64_t tile = std::int64_t{task.user_block} * item_blocks + task.item_block;
        const std::int64_t first = tiles.rating_offsets[tile];
        const std::int64_t first_run = tiles.run_offsets[tile];
        const std::int64_t first_item = tiles.item_bounds[task.item_block];
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
    const int parallel = std::min(tiles.user_blocks(), item_blocks);
    const int threads = std::min(parallel, threads_for(tiles.n_ratings, n_threads));
    parallel_graph(
        static_cast<std::int64_t>(tasks.size()), threads,
        [&](std::int64_t index) { return tasks[static_cast<std::size_t>(index)].after; }, run);
    return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace fastcf
