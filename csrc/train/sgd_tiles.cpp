#include "train/sgd_tiles.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/parallel.h"
#include "core/rng.h"

namespace fastcf {
namespace {

constexpr std::int64_t kMostItemsPerBlock = 65535;  // positions within a block are 16 bits

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

// Cuts [0, n) into `blocks` blocks of about equal total count, or into more so that none is larger than `most`
// positions.
template <class Count>
std::vector<std::int32_t> balanced_bounds(std::int64_t n, std::int64_t blocks, std::int64_t most, std::int64_t total,
                                          Count count) {
    std::vector<std::int32_t> bounds{0};
    std::int64_t reached = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto made = static_cast<std::int64_t>(bounds.size());
        const bool full = made < blocks && reached * blocks >= total * made;
        if (i > bounds.back() && (full || i - bounds.back() == most)) bounds.push_back(static_cast<std::int32_t>(i));
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

    // The arrays to fill, once count has been called for every block.
    void place(SgdRun* runs, std::uint16_t* items, float* values, float* out_weights) {
        runs_ = runs;
        items_ = items;
        values_ = values;
        out_weights_ = out_weights;
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
                                            ? place.base + std::int64_t{place.next} * tiles_.grid.interleave
                                            : place.rest + place.next - place.shared;
                ++place.next;
                items_[to] = where.local;
                values_[to] = ratings_.values[e] - (item_offset_ != nullptr ? item_offset_[item] : global_offset_);
                if (weights_ != nullptr) out_weights_[to] = weights_[e];
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
        const std::size_t width = static_cast<std::size_t>(tiles_.grid.interleave);
        std::int64_t cursor = tiles_.rating_offsets[static_cast<std::size_t>(tile)];
        SgdRun* to = runs_ + tiles_.run_offsets[static_cast<std::size_t>(tile)];
        for (std::size_t g = 0; g < order.size(); g += width) {
            const std::size_t n = std::min(width, order.size() - g);
            const std::int32_t shared = n == width ? runs[static_cast<std::size_t>(order[g + width - 1])].length : 0;
            std::int64_t rest = cursor + shared * tiles_.grid.interleave;
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
    SgdRun* runs_ = nullptr;
    std::uint16_t* items_ = nullptr;
    float* values_ = nullptr;
    float* out_weights_ = nullptr;
};

}  // namespace

SgdTiles build_sgd_tiles(const CsrView& ratings, const float* weights, const float* item_offset, float global_offset,
                         const SgdGrid& grid, std::uint64_t seed, int n_threads) {
    SgdTiles tiles;
    const std::int64_t n = ratings.nnz();
    tiles.n_users = ratings.rows;
    tiles.n_items = ratings.cols;
    tiles.n_ratings = n;
    tiles.grid = grid;
    tiles.user_position = random_positions(ratings.rows, seed, kUserOrder);
    tiles.item_position = random_positions(ratings.cols, seed, kItemOrder);
    std::vector<std::int64_t> item_counts(static_cast<std::size_t>(ratings.cols));
    for (std::int64_t e = 0; e < n; ++e) ++item_counts[static_cast<std::size_t>(ratings.indices[e])];
    const std::vector<std::int32_t> user_order = inverse(tiles.user_position);
    const std::vector<std::int32_t> item_order = inverse(tiles.item_position);
    tiles.user_bounds = balanced_bounds(ratings.rows, grid.user_blocks, ratings.rows, n,
                                        [&](std::int64_t i) { return ratings.row_size(user_order[i]); });
    tiles.item_bounds = balanced_bounds(ratings.cols, grid.item_blocks, kMostItemsPerBlock, n,
                                        [&](std::int64_t i) { return item_counts[item_order[i]]; });

    const std::size_t n_tiles = static_cast<std::size_t>(tiles.user_blocks()) * tiles.item_blocks();
    tiles.rating_offsets.assign(n_tiles + 1, 0);
    tiles.run_offsets.assign(n_tiles + 1, 0);
    n_threads = threads_for(n, n_threads);
    TileBuilder builder(ratings, weights, item_offset, global_offset, tiles);
    parallel_for(tiles.user_blocks(), n_threads, [&](std::int64_t block, int) { builder.count(block); });
    std::partial_sum(tiles.rating_offsets.begin(), tiles.rating_offsets.end(), tiles.rating_offsets.begin());
    std::partial_sum(tiles.run_offsets.begin(), tiles.run_offsets.end(), tiles.run_offsets.begin());
    tiles.runs = DeviceArray<SgdRun>(tiles.run_offsets.back());
    tiles.items = DeviceArray<std::uint16_t>(n);
    tiles.values = DeviceArray<float>(n);
    if (weights != nullptr) tiles.weights = DeviceArray<float>(n);
    HostView<SgdRun> runs(tiles.runs, false);
    HostView<std::uint16_t> items(tiles.items, false);
    HostView<float> values(tiles.values, false), out_weights(tiles.weights, false);
    builder.place(runs.data(), items.data(), values.data(), out_weights.data());
    parallel_for(tiles.user_blocks(), n_threads, [&](std::int64_t block, int) { builder.fill(block); });
    runs.finish();
    items.finish();
    values.finish();
    out_weights.finish();
    return tiles;
}

std::vector<std::int32_t> sgd_rounds(int n_rounds, std::uint64_t round_seed) {
    std::vector<std::int32_t> rounds(static_cast<std::size_t>(n_rounds));
    std::iota(rounds.begin(), rounds.end(), 0);
    shuffle(rounds.data(), n_rounds, Rng(round_seed, kRoundOrder));
    return rounds;
}
std::vector<std::int32_t> sgd_rounds(const SgdTiles& tiles, std::uint64_t round_seed) {
    return sgd_rounds(tiles.rounds(), round_seed);
}

TileOrder::TileOrder(const SgdTiles& tiles)
    : tiles_(tiles),
      user_rows_(inverse(tiles.user_position)),
      item_rows_(inverse(tiles.item_position)),
      runs_(tiles.runs),
      items_(tiles.items) {}

void TileOrder::append(int user_block, int item_block, TrainingOrder& order) const {
    const auto tile = static_cast<std::size_t>(user_block) * static_cast<std::size_t>(tiles_.item_blocks()) +
                      static_cast<std::size_t>(item_block);
    const std::int32_t first_item = tiles_.item_bounds[static_cast<std::size_t>(item_block)];
    const std::uint16_t* item = items_.data() + tiles_.rating_offsets[tile];
    std::int64_t step = order.steps.empty() ? 0 : order.steps.back() + 1;
    const auto append = [&](const SgdRun& run) {
        order.users.push_back(user_rows_[static_cast<std::size_t>(run.user)]);
        order.items.push_back(item_rows_[static_cast<std::size_t>(first_item + *item++)]);
        order.steps.push_back(step);
    };
    const auto width = static_cast<std::int64_t>(tiles_.grid.interleave);
    const std::int64_t last = tiles_.run_offsets[tile + 1];
    for (std::int64_t r = tiles_.run_offsets[tile]; r < last; r += width) {
        const SgdRun* runs = runs_.data() + r;
        const std::int64_t n = std::min(width, last - r);
        const std::int32_t shared = n == width ? runs[n - 1].length : 0;
        const std::int32_t whole = shared / tiles_.grid.together * tiles_.grid.together;
        for (std::int32_t t = 0; t < shared; ++t) {
            for (std::int64_t j = 0; j < n; ++j) append(runs[j]);
            if (t >= whole || (t + 1) % tiles_.grid.together == 0) ++step;
        }
        for (std::int64_t j = 0; j < n; ++j)
            for (std::int32_t t = shared; t < runs[j].length; ++t, ++step) append(runs[j]);
    }
}

}  // namespace fastcf
