// How the work is cut: a block multiplies a tile of users with one tile of items after the other of its range, and
// compares the scores with each user's floor while they are in registers; what is above goes to the user's list, in
// memory that L2 holds. When a list is nearly full, the warps of the block drop what users have seen from the lists and
// cut them back to their n best, or some more, which raises the floors: every cut makes lists fill more slowly by a
// factor, so they cost little beside the products. A second kernel makes the answers of the lists of all ranges, which
// are more than one where users are too few to occupy the device. Queries come in passes, as many at a time as memory
// allows; scores are never written.
#include <algorithm>
#include <cmath>

#include "core/interrupt.h"
#include "cuda/kernel.h"
#include "cuda/rows.h"
#include "cuda/select.h"
#include "cuda/staging.h"
#include "ops/topk.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kDepth = 16;  // factors of a slab, what lies in shared memory at a time
constexpr int kFours = kDepth / 4;
constexpr int kMicroUsers = 8;  // of a thread

// A tile of users by items, and which of them a thread multiplies: groups of four neighbours, so that shared memory is
// read four at a time.
template <int UserThreads>
struct Tile {
    static constexpr int kItemThreads = kThreads / UserThreads;
    static constexpr int kMicroItems = UserThreads == 16 ? 8 : UserThreads == 4 ? 4 : 1;
    static constexpr int kUsers = UserThreads * kMicroUsers;
    static constexpr int kItems = kItemThreads * kMicroItems;
    static constexpr int kUserLoads = (kUsers * kFours + kThreads - 1) / kThreads;  // per thread and slab
    static constexpr int kItemLoads = kItems * kFours / kThreads;

    FASTCF_HD static constexpr int user(int thread, int micro) {
        return micro / 4 * 4 * UserThreads + thread * 4 + micro % 4;
    }
    FASTCF_HD static constexpr int item(int thread, int micro) {
        return kMicroItems == 1 ? thread : micro / 4 * 4 * kItemThreads + thread * 4 + micro % 4;
    }
};

// Where row r of the four factors f4 stands among `width` rows in shared memory: the eight rows that a warp stores at a
// time come to other banks for every f4, and neighbouring fours stay together.
FASTCF_DEVICE int swizzled(int r, int f4, int width) {
    return r ^ (8 * f4 & (width - 1));
}

struct Lists {
    Global<std::uint64_t> keys;    // (users, n_ranges, capacity)
    Global<std::int32_t> lengths;  // (users, n_ranges)
    std::int64_t n_ranges, capacity;
    std::int32_t limit;  // a list longer than this is cut before the next tile
    std::int32_t keep;   // how many best a list must hold
};

FASTCF_DEVICE Global<std::uint64_t> list_of(const Lists& lists, std::int64_t user, std::int64_t range) {
    return lists.keys + (user * lists.n_ranges + range) * lists.capacity;
}

struct Task {
    Global<const float> item_bias;            // or null
    Global<const std::int32_t> pool;          // item rows in ascending order, or null: all
    Global<const std::int64_t> seen_indptr;   // or null
    Global<const std::int32_t> seen_indices;  // from entry seen_first on
    std::int64_t seen_first;
    std::int32_t n_users, pool_size, range, k;  // 32 bits, as registers are what the multiplying kernel is short of
};

FASTCF_DEVICE std::int32_t item_at(const Task& task, std::int32_t position) {
    return task.pool == nullptr ? position : constant_load(task.pool + position);
}

// Factors f to f + 3 of a row, zeros from k on.
template <class Stored>
FASTCF_DEVICE auto load_four(const Rows<Stored>& rows, std::int64_t row, int f, int k) {
    decltype(load4(rows.data)) four{};
    if (f < k) four = load4(rows.data + (row * rows.stride + f));
    return four;
}

FASTCF_DEVICE void store_four(Shared<float> slab, int width, int r, int f4, float4 four) {
    const Shared<float> at = slab + (4 * f4 * width + swizzled(r, f4, width));
    at[0] = four.x;
    at[width] = four.y;
    at[2 * width] = four.z;
    at[3 * width] = four.w;
}

// By a warp: drops from a user's list what was seen among the entries from `checked` on, and cuts the list; returns its
// length, and the floor where the list holds as many as it must.
FASTCF_DEVICE int tidy(const Task& task, Global<std::uint64_t> keys, std::int64_t user, int checked, int length,
                       int keep, int most, std::uint64_t& floor) {
    if (task.seen_indptr != nullptr) {
        const std::int64_t begin = task.seen_indptr[user], end = task.seen_indptr[user + 1];
        if (begin < end) {
            const Global<const std::int32_t> seen = task.seen_indices + (begin - task.seen_first);
            length = warp_keep(keys, checked, length, [&](const std::uint64_t(&key)[4], bool(&unseen)[4]) {
                int at[4] = {};
                int left = static_cast<int>(end - begin);  // items may repeat, but not 2^31 times
                FASTCF_NO_UNROLL
                for (; left > 1; left -= left / 2) {
                    for (int a = 0; a < 4; ++a) {
                        const std::int32_t before = constant_load(seen + (at[a] + left / 2 - 1));
                        if (before < rank_index(key[a])) at[a] += left / 2;
                    }
                }
                for (int a = 0; a < 4; ++a) unseen[a] = constant_load(seen + at[a]) != rank_index(key[a]);
            });
        }
    }
    return warp_cut(keys, length, keep, most, floor);
}

// 2 k flops per pair of user and item and 4 k / users-of-a-tile + 4 k / items-of-a-tile bytes read, mostly from L2;
// 8 bytes per entry of a list. Bound by the multipliers where users are many: on an H200 67 TFLOP/s are at most 523 G
// pairs/s at k = 64; by reading the items where they are few: 4.8 TB/s are at most 19 G items/s at k = 64, twice that
// in half precision. 256 threads with 8 x 8, 8 x 4 or 8 x 1 pairs each. Deterministic: which entries a list holds
// between two cuts does not depend on their order.
template <class Stored, int UserThreads>
FASTCF_KERNEL(kThreads, 2)
void topk_scan_kernel(Task task, Rows<Stored> queries, Rows<Stored> items, Lists lists) {
    using T = Tile<UserThreads>;
    using Four = decltype(load_four(queries, 0, 0, 0));
    constexpr int kUsers = T::kUsers, kItems = T::kItems;
    FASTCF_SHARED(float, user_slabs, 2 * kDepth * kUsers);
    FASTCF_SHARED(float, item_slabs, 2 * kDepth * kItems);
    FASTCF_SHARED(float, floors, kUsers);
    FASTCF_SHARED(int, lengths, kUsers);
    FASTCF_SHARED(int, checked, kUsers);  // entries at the front of a list that are known to be unseen
    FASTCF_SHARED(int, full, 2);          // whether a list is too long; of even and of odd tiles

    const int t = static_cast<int>(threadIdx.x);
    const int user_thread = t / T::kItemThreads, item_thread = t % T::kItemThreads;
    const int first_user = static_cast<int>(blockIdx.x) * kUsers, n_users = task.n_users - first_user;
    const int range = static_cast<int>(blockIdx.y);
    const int n_slabs = task.k > kDepth ? (task.k - 1) / kDepth + 1 : 1;
    int first_item = range * task.range;                                                             // of the tile
    int left = task.pool_size - first_item < task.range ? task.pool_size - first_item : task.range;  // of the range

    if (t < kUsers) {
        const float highest = std::numeric_limits<float>::infinity();
        floors[t] = t < n_users ? -highest : highest;
        lengths[t] = 0;
        checked[t] = 0;
    }
    if (t < 2) full[t] = 0;

    Four user_fours[T::kUserLoads], item_fours[T::kItemLoads];  // of the slab after the one in work
    const auto load_slab = [&](int first, int n_items, int slab) {
        FASTCF_UNROLL
        for (int l = 0; l < T::kUserLoads; ++l) {
            const int e = t + l * kThreads, r = e / kFours;
            user_fours[l] = Four{};
            if (r < kUsers && r < n_users)
                user_fours[l] = load_four(queries, first_user + r, slab * kDepth + e % kFours * 4, task.k);
        }
        FASTCF_UNROLL
        for (int l = 0; l < T::kItemLoads; ++l) {
            const int e = t + l * kThreads, r = e / kFours;
            item_fours[l] = Four{};
            if (r < n_items)
                item_fours[l] = load_four(items, item_at(task, first + r), slab * kDepth + e % kFours * 4, task.k);
        }
    };
    const auto store_slab = [&](int buffer) {
        for (int l = 0; l < T::kUserLoads; ++l) {
            const int e = t + l * kThreads;
            if (e < kUsers * kFours)
                store_four(user_slabs + buffer * kDepth * kUsers, kUsers, e / kFours, e % kFours,
                           to_float4(user_fours[l]));
        }
        for (int l = 0; l < T::kItemLoads; ++l) {
            const int e = t + l * kThreads;
            store_four(item_slabs + buffer * kDepth * kItems, kItems, e / kFours, e % kFours, to_float4(item_fours[l]));
        }
    };

    load_slab(first_item, left, 0);
    store_slab(0);
    block_sync();
    int buffer = 0, parity = 0;
    FASTCF_NO_UNROLL
    for (; left > 0; first_item += kItems, left -= kItems, parity = 1 - parity) {
        float sums[kMicroUsers][T::kMicroItems];
        FASTCF_UNROLL
        for (int j = 0; j < T::kMicroItems; ++j) {
            const int r = T::item(item_thread, j);
            float bias = -std::numeric_limits<float>::infinity();  // past the end: below every floor
            if (r < left) bias = task.item_bias == nullptr ? 0.0f : task.item_bias[item_at(task, first_item + r)];
            for (int i = 0; i < kMicroUsers; ++i) sums[i][j] = bias;
        }
        FASTCF_NO_UNROLL
        for (int slab = 0; slab < n_slabs; ++slab) {
            const bool last_slab = slab + 1 == n_slabs, more = !last_slab || left > kItems;
            if (!last_slab)
                load_slab(first_item, left, slab + 1);
            else if (more)
                load_slab(first_item + kItems, left - kItems, 0);
            const Shared<float> p = user_slabs + buffer * kDepth * kUsers, q = item_slabs + buffer * kDepth * kItems;
            for (int f = 0; f < kDepth; ++f) {
                float a[kMicroUsers], b[T::kMicroItems];
                for (int i = 0; i < kMicroUsers; i += 4) {
                    const float4 four = load4(p + (f * kUsers + swizzled(T::user(user_thread, i), f / 4, kUsers)));
                    a[i] = four.x, a[i + 1] = four.y, a[i + 2] = four.z, a[i + 3] = four.w;
                }
                if constexpr (T::kMicroItems == 1) {
                    b[0] = q[f * kItems + swizzled(item_thread, f / 4, kItems)];
                } else {
                    for (int j = 0; j < T::kMicroItems; j += 4) {
                        const float4 four = load4(q + (f * kItems + swizzled(T::item(item_thread, j), f / 4, kItems)));
                        b[j] = four.x, b[j + 1] = four.y, b[j + 2] = four.z, b[j + 3] = four.w;
                    }
                }
                for (int i = 0; i < kMicroUsers; ++i)
                    for (int j = 0; j < T::kMicroItems; ++j) sums[i][j] = fmaf(a[i], b[j], sums[i][j]);
            }
            if (last_slab) {
                FASTCF_UNROLL
                for (int i = 0; i < kMicroUsers; ++i) {
                    const int user = T::user(user_thread, i);
                    const float floor = floors[user];
                    bool above = false;
                    for (int j = 0; j < T::kMicroItems; ++j) above |= !(sums[i][j] <= floor);
                    if (!above || user >= n_users) continue;
                    const Global<std::uint64_t> list = list_of(lists, first_user + user, range);
                    FASTCF_UNROLL
                    for (int j = 0; j < T::kMicroItems; ++j) {
                        const float score = sums[i][j];
                        const int r = T::item(item_thread, j);
                        if (!(score > floor) || r >= left) continue;
                        const int place = atomic_add(lengths + user, 1);
                        list[place] = rank_key(score, item_at(task, first_item + r));
                        if (place >= lists.limit) atomic_max(full + parity, 1);
                    }
                }
            }
            buffer = 1 - buffer;
            if (more) store_slab(buffer);
            block_sync();
        }
        const bool last = left <= kItems;
        const int some_full = full[parity];
        if (last || some_full != 0) {
            block_sync();  // all have read it
            if (t == 0) full[parity] = 0;
            FASTCF_NO_UNROLL
            for (int user = warp_index(); user < kUsers; user += kThreads / kWarp) {
                const int length = lengths[user];
                // Not only the full ones: their neighbours would be the next to stop the block.
                if (user >= n_users || (!last && length <= lists.keep / 2 + lists.limit / 2)) continue;
                const int most = lists.keep + (last ? lists.keep : lists.limit - lists.keep) / 8;
                std::uint64_t floor = kNoRank;
                const int rest = tidy(task, list_of(lists, first_user + user, range), first_user + user, checked[user],
                                      length, lists.keep, most, floor);
                warp_sync();
                if (lane_index() == 0) {
                    lengths[user] = rest;
                    checked[user] = rest;
                    if (floor != kNoRank) floors[user] = rank_score(floor);
                    if (last) lists.lengths[(first_user + user) * lists.n_ranges + range] = rest;
                }
            }
            block_sync();
        }
    }
}

// One block per user: the n best of the lists of all ranges, sorted in `size` (a power of two) places of shared memory,
// or of `spill` where they are too many. 8 bytes per entry, read about ten times from L2, log2(size)^2 / 2 barriers:
// bound by latency. Deterministic.
template <bool Spilt>
FASTCF_KERNEL(512)
void topk_finish_kernel(Lists lists, std::int64_t size, Global<std::uint64_t> spill, std::int64_t n,
                        Global<std::int32_t> ids, Global<float> scores) {
    FASTCF_SHARED(std::uint64_t, scratch, kWarp);
    FASTCF_SHARED(int, gathered, 1);
    const std::int64_t user = blockIdx.x;
    const Global<std::uint64_t> best = sort_space<Spilt>(spill, size);
    // A warp takes every so many-th range; where ranges are fewer than warps, a slice of one.
    const int warps = static_cast<int>(blockDim.x) / kWarp;
    const int slices = lists.n_ranges > 0 && lists.n_ranges < warps ? warps / static_cast<int>(lists.n_ranges) : 1;
    const auto each = [&](auto&& take) {
        for (std::int64_t range = warp_index() / slices; range < lists.n_ranges; range += warps / slices) {
            const Global<std::uint64_t> keys = list_of(lists, user, range);
            const int length = lists.lengths[user * lists.n_ranges + range];
            for (int e = warp_index() % slices * kWarp + lane_index(); e < length; e += slices * kWarp) {
                const std::uint64_t key = keys[e];
                take(key);
            }
        }
    };
    write_best(each, best, size, n, scratch, gathered, ids + user * n, scores + user * n);
}

constexpr std::int64_t kScratchBytes = 1 << 30;        // of lists: users for some waves of a large device
constexpr std::int64_t kBlocksWanted = 2048;           // the same; a fourth where users are few, as ranges cost
constexpr std::int64_t kProducts = 2'000'000'000'000;  // multiply-adds between looks for Ctrl-C

// How a pass is cut.
struct Plan {
    Plan(std::int64_t users, std::int64_t pool_size, std::int64_t n)
        : n_users(users),
          user_threads(users <= 16   ? 1
                       : users <= 64 ? 4
                                     : 16) {
        const std::int64_t tile_users = user_threads * kMicroUsers, tile_items = user_threads == 16 ? 128 : 256;
        const std::int64_t keep_all = std::min(n, pool_size);
        const std::int64_t blocks = user_threads == 16 ? kBlocksWanted : kBlocksWanted / 4;
        const std::int64_t least = std::max<std::int64_t>(user_threads == 16 ? 4096 : 1024, 4 * keep_all);
        const std::int64_t wanted = std::min(blocks / blocks_for(users, tile_users), pool_size / least);
        range = blocks_for(blocks_for(pool_size, std::max<std::int64_t>(wanted, 1)), tile_items) * tile_items;
        range = std::max<std::int64_t>(std::min(range, pool_size), 1);
        n_ranges = blocks_for(pool_size, range);
        keep = std::min(keep_all, range);
        limit = std::max<std::int64_t>(127, 2 * keep);
        capacity = limit + tile_items;
        if (capacity > range) limit = capacity = range;  // never full
        sorted = sort_size(keep_all, 64);
    }

    bool spilt() const { return sorted > kSortedInShared; }
    std::int64_t bytes() const { return 8 * n_users * (n_ranges * (capacity + 1) + (spilt() ? sorted : 0)); }

    std::int64_t n_users;
    int user_threads;
    std::int64_t range = 0, n_ranges = 0;
    std::int64_t keep = 0, limit = 0, capacity = 0;  // of a list
    std::int64_t sorted = 0;
};

// As many users at a time as lists, queries and answers have memory for, and as Ctrl-C can wait for.
Plan make_plan(const TopkQuery& query, std::int64_t pool_size, std::int64_t n) {
    const std::int64_t memory = std::min(kScratchBytes, device_free_bytes() / 2), k = query.items.cols;
    const std::int64_t products = std::max<std::int64_t>(pool_size * k, 1);
    Plan plan(std::min(query.queries.rows, std::max<std::int64_t>(kProducts / products, 128)), pool_size, n);
    while (plan.n_users > 1 && plan.bytes() + plan.n_users * 8 * (k + n) > memory)
        plan = Plan(plan.n_users / 2, pool_size, n);
    return plan;
}

template <class Stored>
void scan(const Plan& plan, const Task& task, const Rows<Stored>& queries, const Rows<Stored>& items,
          const Lists& lists) {
    const Grid grid(blocks_for(task.n_users, plan.user_threads * kMicroUsers), plan.n_ranges);
    if (plan.user_threads == 1)
        FASTCF_LAUNCH((topk_scan_kernel<Stored, 1>), grid, kThreads, 0, task, queries, items, lists);
    else if (plan.user_threads == 4)
        FASTCF_LAUNCH((topk_scan_kernel<Stored, 4>), grid, kThreads, 0, task, queries, items, lists);
    else
        FASTCF_LAUNCH((topk_scan_kernel<Stored, 16>), grid, kThreads, 0, task, queries, items, lists);
}

void finish(const Plan& plan, const Lists& lists, std::int64_t n_users, std::uint64_t* spill, std::int64_t n,
            std::int32_t* ids, float* scores) {
    const auto threads =
        static_cast<int>(std::min<std::int64_t>(512, sort_size(std::max(plan.sorted / 4, plan.n_ranges * 8), kWarp)));
    if (plan.spilt())
        FASTCF_LAUNCH((topk_finish_kernel<true>), n_users, threads, 0, lists, plan.sorted, spill, n, ids, scores);
    else
        FASTCF_LAUNCH((topk_finish_kernel<false>), n_users, threads, plan.sorted * 8, lists, plan.sorted, spill, n, ids,
                      scores);
}

template <class Stored>
void search(const TopkQuery& query, const TopkPool& pool, MatrixView<std::int32_t> ids, MatrixView<float> scores) {
    const std::int64_t n = ids.cols;
    const StagedRows<Stored> items(query.items);
    const In<float> item_bias(query.item_bias);
    const DeviceArray<std::int32_t> pool_ids(pool.ids);
    const Plan plan = make_plan(query, pool.size, n);
    DeviceArray<std::uint64_t> keys(plan.n_users * plan.n_ranges * plan.capacity);
    DeviceArray<std::uint64_t> spill(plan.spilt() ? plan.n_users * plan.sorted : 0);
    DeviceArray<std::int32_t> lengths(plan.n_users * plan.n_ranges);
    const Lists lists{keys.data(),
                      lengths.data(),
                      plan.n_ranges,
                      plan.capacity,
                      static_cast<std::int32_t>(plan.limit),
                      static_cast<std::int32_t>(plan.keep)};
    const std::int64_t* indptr = query.seen_indptr.data;
    for (std::int64_t first = 0; first < query.queries.rows; first += plan.n_users) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t m = std::min(plan.n_users, query.queries.rows - first);
        const StagedRows<Stored> queries(
            MatrixView<const float>{query.queries.row(first), m, query.queries.cols, query.queries.stride});
        const bool sliced = !query.seen_indptr.empty() && !device_only(indptr);
        const std::int64_t seen_first = sliced ? indptr[first] : 0;
        const std::int64_t seen_end = sliced ? indptr[first + m] : query.seen_indices.size;
        const In<std::int32_t> seen(query.seen_indices.data + seen_first, seen_end - seen_first);
        const In<std::int64_t> rows(query.seen_indptr.empty() ? nullptr : indptr + first, m + 1);
        const Task task{item_bias.data(),
                        pool_ids.data(),
                        rows.data(),
                        seen.data(),
                        seen_first,
                        static_cast<std::int32_t>(m),
                        static_cast<std::int32_t>(pool.size),
                        static_cast<std::int32_t>(plan.range),
                        static_cast<std::int32_t>(query.items.cols)};
        scan(plan, task, queries.rows, items.rows, lists);
        const Out<std::int32_t> pass_ids(ids.row(first), m * n);
        const Out<float> pass_scores(scores.row(first), m * n);
        finish(plan, lists, m, spill.data(), n, pass_ids.data(), pass_scores.data());
        pass_ids.finish();
        pass_scores.finish();
    }
}

}  // namespace

void topk(const TopkQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> scores) {
    check_topk(query, ids, scores);
    check(ids.stride == ids.cols && scores.stride == scores.cols, "topk: the outputs must be contiguous");
    if (ids.rows == 0 || ids.cols == 0) return;
    TopkQuery readable = query;
    std::vector<std::int32_t> candidates, excluded;
    if (readable.candidates) bring_to_host(*readable.candidates, candidates);
    bring_to_host(readable.excluded, excluded);
    const TopkPool pool = topk_pool(readable);
    if (query.half_storage)
        search<half_t>(query, pool, ids, scores);
    else
        search<float>(query, pool, ids, scores);
}

}  // namespace fastcf
