// How the work is cut: tasks are chunks of users times ranges of items. A task walks its range in blocks that fit L2,
// transposed into panels as they come (one pass over the items per chunk of users, so nothing is kept between calls),
// and per block runs every tile of users through the fused product-and-compare kernel. Hits fall into TopList.
// Ranges are more than one only where users are too few to occupy the threads.
#include "ops/topk.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "cpu/top_list.h"
#include "cpu/topk_kernels.h"
#include "math/half.h"

namespace fastcf {
namespace {

constexpr std::int64_t kBlockBytes = 256 << 10;  // of packed items; a quarter of a common L2
constexpr std::int64_t kBufferBytes = 64 << 20;  // of TopList buffers per thread
constexpr std::int64_t kMinChunk = 256;          // users; fewer would not amortise packing the items
constexpr std::int64_t kMaxChunk = 1024;
constexpr std::int64_t kMinRange = 2048;               // items
constexpr std::int64_t kPollProducts = 1'000'000'000;  // multiply-adds between looks for Ctrl-C; 10 to 100 ms

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}

struct Plan {
    std::int64_t chunk = 1, n_chunks = 1;  // users
    std::int64_t range = 1, n_ranges = 1;  // items of the pool
    std::int64_t block = 1;                // items per packed block, a multiple of the panel width
    std::int64_t keep = 0;                 // best items kept per user and range
    std::int64_t capacity = 0;             // of each TopList
};

Plan make_plan(std::int64_t n_users, std::int64_t n_items, std::int64_t k, std::int64_t n, int n_threads,
               const TopkKernels& kernels) {
    Plan plan;
    const std::int64_t width = kernels.panel_width, tile = kernels.tile_users, threads = n_threads;
    const std::int64_t capacity = TopList::capacity_for(std::min(n, n_items), n_items);
    plan.chunk = std::clamp(ceil_div(n_users, 4 * threads), kMinChunk, kMaxChunk);
    plan.chunk = std::min(plan.chunk, kBufferBytes / (capacity * static_cast<std::int64_t>(sizeof(std::uint64_t))));
    plan.chunk = std::clamp<std::int64_t>(ceil_div(plan.chunk, tile) * tile, 1, n_users);
    plan.n_chunks = ceil_div(n_users, plan.chunk);

    std::int64_t ranges = 1;
    if (threads > 1 && plan.n_chunks < 2 * threads)
        ranges = std::min(ceil_div(4 * threads, plan.n_chunks), ceil_div(n_items, kMinRange));
    plan.range = ceil_div(ceil_div(n_items, ranges), width) * width;
    plan.n_ranges = ceil_div(n_items, plan.range);
    plan.keep = std::min(n, plan.range);
    plan.capacity = TopList::capacity_for(plan.keep, plan.range);

    const std::int64_t panel_bytes = std::max<std::int64_t>(k, 1) * width * static_cast<std::int64_t>(sizeof(float));
    plan.block = std::min(plan.range, std::max<std::int64_t>(1, kBlockBytes / panel_bytes) * width);
    return plan;
}

// Where one user of a task stands.
struct Standing {
    TopList list;
    const std::int32_t *seen, *seen_end;  // what is left of the user's seen items; positions come in ascending order
};

// Scratch of one thread, reused from task to task.
struct Workspace {
    AlignedBuffer<float> users, panels, bias, thresholds, rounded;
    AlignedBuffer<std::uint64_t> keys;
    std::vector<Standing> standings;
    std::vector<const float*> rows;
};

class Search {
  public:
    Search(const TopkQuery& query, TopkPool pool, const Plan& plan, int n_threads)
        : query_(query), pool_(std::move(pool)), plan_(plan), workspaces_(static_cast<std::size_t>(n_threads)) {}

    // Runs one chunk of users over one range of items; done(user, list) receives every user's list.
    template <class Done>
    void run(std::int64_t chunk, std::int64_t range, int thread, Done&& done) {
        Workspace& space = workspaces_[static_cast<std::size_t>(thread)];
        if (space.standings.empty()) allocate(space);
        const std::int64_t first = chunk * plan_.chunk;
        const std::int64_t n_users = std::min(plan_.chunk, query_.queries.rows - first);
        pack_users(space, first, n_users);
        for (std::int64_t u = 0; u < n_users; ++u) {
            Standing& standing = space.standings[static_cast<std::size_t>(u)];
            standing = {{space.keys.data() + u * plan_.capacity, plan_.capacity, plan_.keep}, nullptr, nullptr};
            if (!query_.seen_indptr.empty()) {
                standing.seen = query_.seen_indices.data + query_.seen_indptr[first + u];
                standing.seen_end = query_.seen_indices.data + query_.seen_indptr[first + u + 1];
            }
            space.thresholds[u] = standing.list.threshold();
        }
        const std::int64_t end = std::min(pool_.size, (range + 1) * plan_.range);
        for (std::int64_t begin = range * plan_.range; begin < end; begin += plan_.block) {
            const std::int64_t count = std::min(plan_.block, end - begin);
            poll(thread, n_users * count * query_.items.cols);
            std::int64_t direct = 0;  // items read as they lie
            if (n_users <= kMaxRowUsers && pool_.ids.empty() && !query_.half_storage) {
                direct = count / kernels_.panel_width * kernels_.panel_width;
                pack_bias(space, begin, direct);
                scan_tile(space, 0, static_cast<int>(n_users), begin, direct, query_.items.row(begin));
            }
            pack_items(space, begin + direct, count - direct);
            for (std::int64_t u = 0; direct < count && u < n_users;) {
                const int tile = tile_size(u, n_users);
                scan_tile(space, u, tile, begin + direct, count - direct, nullptr);
                u += tile;
            }
        }
        for (std::int64_t u = 0; u < n_users; ++u)
            done(first + u, space.standings[static_cast<std::size_t>(u)].list, space.keys.data() + u * plan_.capacity);
    }

  private:
    // Tasks may be long: all threads look for the flag, the one that entered the library asks for signals.
    void poll(int thread, std::int64_t products) {
        if (stop_.load(std::memory_order_relaxed)) throw Interrupted();
        if (thread != 0 || (products_ += products) < kPollProducts) return;
        products_ = 0;
        if (!interrupt_pending()) return;
        stop_.store(true);
        throw Interrupted();
    }

    // Tiles are as even as possible: 15 users are 8 + 7, not 14 + 1.
    int tile_size(std::int64_t done, std::int64_t n_users) const {
        const std::int64_t left = n_users - done;
        return static_cast<int>(ceil_div(left, ceil_div(left, kernels_.tile_users)));
    }

    void allocate(Workspace& space) const {
        const std::int64_t width = kernels_.panel_width, k = query_.items.cols;
        space.users = AlignedBuffer<float>(plan_.chunk * k);
        space.panels = AlignedBuffer<float>(plan_.block * k);
        space.bias = AlignedBuffer<float>(plan_.block);
        space.thresholds = AlignedBuffer<float>(plan_.chunk);
        space.keys = AlignedBuffer<std::uint64_t>(plan_.chunk * plan_.capacity);
        space.standings.resize(static_cast<std::size_t>(plan_.chunk));
        space.rows.resize(static_cast<std::size_t>(width));
        if (query_.half_storage) space.rounded = AlignedBuffer<float>(width * k);
    }

    void pack_users(Workspace& space, std::int64_t first, std::int64_t n_users) const {
        const std::int64_t k = query_.items.cols;
        for (std::int64_t u = 0; u < n_users;) {
            const int tile = tile_size(u, n_users);
            float* packed = space.users.data() + u * k;
            for (int r = 0; r < tile; ++r) {
                const float* row = query_.queries.row(first + u + r);
                for (std::int64_t f = 0; f < k; ++f)
                    packed[f * tile + r] = query_.half_storage ? round_to_half(row[f]) : row[f];
            }
            u += tile;
        }
    }

    void pack_bias(Workspace& space, std::int64_t begin, std::int64_t count) const {
        for (std::int64_t at = 0; at < count; ++at)
            space.bias[at] = query_.item_bias.empty() ? 0.0f : query_.item_bias[pool_.id(begin + at)];
        for (std::int64_t at = count; at % kernels_.panel_width != 0; ++at)
            space.bias[at] = -std::numeric_limits<float>::infinity();
    }

    void pack_items(Workspace& space, std::int64_t begin, std::int64_t count) const {
        const std::int64_t width = kernels_.panel_width, k = query_.items.cols;
        pack_bias(space, begin, count);
        for (std::int64_t at = 0; at < count; at += width) {
            const auto lanes = static_cast<int>(std::min(width, count - at));
            for (int lane = 0; lane < lanes; ++lane) {
                const float* row = query_.items.row(pool_.id(begin + at + lane));
                if (query_.half_storage) {
                    float* rounded = space.rounded.data() + lane * k;
                    for (std::int64_t f = 0; f < k; ++f) rounded[f] = round_to_half(row[f]);
                    row = rounded;
                }
                space.rows[static_cast<std::size_t>(lane)] = row;
            }
            kernels_.pack(space.rows.data(), lanes, k, space.panels.data() + at * k);
        }
    }

    // Scans the packed panels, or the rows at `items` when that is given.
    void scan_tile(Workspace& space, std::int64_t u, int tile, std::int64_t begin, std::int64_t count,
                   const float* items) const {
        alignas(kAlignment) float scores[kMaxTileUsers * kMaxPanelWidth];
        std::uint32_t hits[kMaxTileUsers];
        const std::int64_t width = kernels_.panel_width, k = query_.items.cols, n_panels = ceil_div(count, width);
        float* thresholds = space.thresholds.data() + u;
        for (std::int64_t panel = 0;; ++panel) {
            const TopkKernels::Scan scan = items == nullptr ? kernels_.scan[tile] : kernels_.scan_rows[tile];
            panel = scan(space.users.data() + u * k, k, items == nullptr ? space.panels.data() : items,
                         space.bias.data(), n_panels, panel, thresholds, scores, hits);
            if (panel == n_panels) return;
            const std::int64_t left = count - panel * width;
            const std::uint32_t real = left >= 32 ? ~0u : (1u << left) - 1u;
            std::uint32_t users = 0;  // collected first, so that the loop over them mispredicts once and not per user
            for (int r = 0; r < tile; ++r) users |= ((hits[r] & real) != 0 ? 1u : 0u) << r;
            for (; users != 0; users &= users - 1) {
                const int r = std::countr_zero(users);
                Standing& standing = space.standings[static_cast<std::size_t>(u + r)];
                take_hits(hits[r] & real, scores + r * width, begin + panel * width, standing);
                thresholds[r] = standing.list.threshold();
            }
        }
    }

    void take_hits(std::uint32_t hits, const float* scores, std::int64_t position, Standing& standing) const {
        for (; hits != 0; hits &= hits - 1) {
            const int lane = std::countr_zero(hits);
            const float score = scores[lane];
            if (!(score > -std::numeric_limits<float>::infinity())) continue;
            const std::int32_t id = pool_.id(position + lane);
            const std::uint64_t key = rank_key(score, id);
            if (key <= standing.list.floor()) continue;
            while (standing.seen != standing.seen_end && *standing.seen < id) ++standing.seen;
            if (standing.seen == standing.seen_end || *standing.seen != id) standing.list.push(key);
        }
    }

    const TopkQuery& query_;
    const TopkPool pool_;
    const Plan plan_;
    const TopkKernels& kernels_ = FASTCF_SELECT_ISA(topk_kernels);
    std::vector<Workspace> workspaces_;
    std::int64_t products_ = 0;  // of thread 0 since it last looked
    std::atomic<bool> stop_{false};
};

void write_row(const std::uint64_t* keys, std::int64_t count, std::int32_t* ids, float* scores, std::int64_t n) {
    for (std::int64_t j = 0; j < n; ++j) {
        ids[j] = j < count ? rank_index(keys[j]) : -1;
        scores[j] = j < count ? rank_score(keys[j]) : -std::numeric_limits<float>::infinity();
    }
}

}  // namespace

void topk(const TopkQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> scores) {
    check_topk(query, ids, scores);
    const std::int64_t n_users = ids.rows, n = ids.cols;
    if (n_users == 0 || n == 0) return;
    TopkPool pool = topk_pool(query);
    if (pool.size == 0) {
        for (std::int64_t u = 0; u < n_users; ++u) write_row(nullptr, 0, ids.row(u), scores.row(u), n);
        return;
    }
    const int n_threads = threads_for(n_users * pool.size * (query.items.cols / 8 + 1), query.n_threads);
    const Plan plan = make_plan(n_users, pool.size, query.items.cols, n, n_threads, FASTCF_SELECT_ISA(topk_kernels));
    Search search(query, std::move(pool), plan, n_threads);

    if (plan.n_ranges == 1) {
        parallel_for(plan.n_chunks, n_threads, [&](std::int64_t chunk, int thread) {
            search.run(chunk, 0, thread, [&](std::int64_t user, TopList& list, const std::uint64_t* keys) {
                write_row(keys, list.finish(), ids.row(user), scores.row(user), n);
            });
        });
        return;
    }
    // Every range leaves its best of each user; the best of those are the answer.
    const std::int64_t keep = plan.keep, per_user = plan.n_ranges * keep;
    AlignedBuffer<std::uint64_t> best(n_users * per_user);
    AlignedBuffer<std::int64_t> counts(n_users * plan.n_ranges);
    parallel_for(plan.n_chunks * plan.n_ranges, n_threads, [&](std::int64_t task, int thread) {
        const std::int64_t chunk = task / plan.n_ranges, range = task % plan.n_ranges;
        search.run(chunk, range, thread, [&](std::int64_t user, TopList& list, const std::uint64_t* keys) {
            const std::int64_t count = list.cut();
            counts[user * plan.n_ranges + range] = count;
            std::copy(keys, keys + count, best.data() + user * per_user + range * keep);
        });
    });
    parallel_chunks(n_users, 64, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t user = begin; user < end; ++user) {
            std::uint64_t* keys = best.data() + user * per_user;
            std::int64_t total = 0;
            for (std::int64_t range = 0; range < plan.n_ranges; ++range) {
                const std::uint64_t* from = keys + range * keep;
                for (std::int64_t j = 0; j < counts[user * plan.n_ranges + range]; ++j) keys[total++] = from[j];
            }
            const std::int64_t count = std::min(total, n);
            std::partial_sort(keys, keys + count, keys + total, std::greater<>());
            write_row(keys, count, ids.row(user), scores.row(user), n);
        }
    });
}

}  // namespace fastcf
