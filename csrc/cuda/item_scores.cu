// Scores of some users at a time are written to the device's memory, which L2 holds much of; a block per user then
// takes the best of them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/interrupt.h"
#include "cuda/kernel.h"
#include "cuda/select.h"
#include "cuda/staging.h"
#include "ops/item_scores.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kListThreads = 512;
constexpr std::int64_t kScoreBytes = 256 << 20;  // of users at a time

struct Model {
    Global<const std::int64_t> indptr;
    Global<const std::int32_t> indices;
    Global<const float> values;
    Global<const float> weights, base;  // base: or null
    std::int64_t stride, n_items;
};

// A score by one thread: the order of the history, in fused multiply-adds.
FASTCF_DEVICE float score_of(const Model& model, std::int32_t user, std::int64_t item) {
    std::int64_t begin = 0, end = 0;
    if (user >= 0) {
        begin = model.indptr[user];
        end = model.indptr[user + 1];
    }
    float sum = 0.0f;
    if (begin == end && model.base != nullptr) sum = model.base[item];
    for (std::int64_t e = begin; e < end; ++e) {
        const float value = model.values[e];
        const float weight = model.weights[model.indices[e] * model.stride + item];
        sum = fmaf(value, weight, sum);
    }
    return sum;
}

// A thread per user and item, neighbours along the items: 8 bytes of the history from L1, 4 bytes of weights and 2
// flops per entry. Bound by fetching rows of weights, from L2 where they are shared: on an H200 at most 1.3 T
// multiply-adds/s from L2, 1.2 T/s from memory. 256 threads. Deterministic.
FASTCF_KERNEL(kThreads)
void scores_kernel(Model model, Global<const std::int32_t> users, std::int64_t n_users, Global<float> out) {
    const std::int64_t tiles = (model.n_items + kThreads - 1) / kThreads;
    const std::int64_t u = blockIdx.x / tiles, item = blockIdx.x % tiles * kThreads + threadIdx.x;
    if (u >= n_users || item >= model.n_items) return;
    const std::int32_t user = users[u];
    out[u * model.n_items + item] = score_of(model, user, item);
}

// A thread per pair: 4 bytes in another line per entry, bound by memory. 256 threads. Deterministic.
FASTCF_KERNEL(kThreads)
void pairs_kernel(Model model, Global<const std::int32_t> users, Global<const std::int32_t> items, std::int64_t n,
                  Global<float> out) {
    const std::int64_t e = global_thread();
    if (e >= n) return;
    const std::int32_t user = users[e], item = items[e];
    out[e] = item < 0 ? 0.0f : score_of(model, user, item);
}

// A block per user: what was seen becomes NaN, which is in no list. 8 bytes per entry.
FASTCF_KERNEL(kThreads)
void leave_out_kernel(Global<const std::int64_t> indptr, Global<const std::int32_t> indices, std::int64_t first_entry,
                      std::int64_t n_items, Global<float> scores) {
    const std::int64_t u = blockIdx.x, begin = indptr[u] - first_entry, end = indptr[u + 1] - first_entry;
    for (std::int64_t e = begin + threadIdx.x; e < end; e += kThreads) {
        const std::int32_t item = indices[e];
        scores[u * n_items + item] = std::numeric_limits<float>::quiet_NaN();
    }
}

// A block per user: the n best of a row of scores, found by halving the interval of their keys (some ten passes over
// the row, 4 bytes a score from L2) and sorted in `size` places of shared memory, or of `spill`. Bound by L2.
// Deterministic.
template <bool Spilt>
FASTCF_KERNEL(kListThreads)
void best_kernel(Global<const float> all_scores, std::int64_t n_items, Global<const std::int32_t> pool,
                 std::int64_t pool_size, std::int64_t size, Global<std::uint64_t> spill, std::int64_t n,
                 Global<std::int32_t> ids, Global<float> scores) {
    FASTCF_SHARED(std::uint64_t, scratch, kWarp);
    FASTCF_SHARED(int, gathered, 1);
    const std::int64_t user = blockIdx.x;
    const Global<std::uint64_t> best = sort_space<Spilt>(spill, size);
    const auto each = [&](auto&& take) {
        for (std::int64_t at = threadIdx.x; at < pool_size; at += blockDim.x) {
            std::int32_t item = static_cast<std::int32_t>(at);
            if (pool != nullptr) item = pool[at];
            const float score = all_scores[user * n_items + item];
            if (score == score) take(rank_key(score, item));
        }
    };
    const auto count = [&](std::uint64_t limit) {
        std::uint64_t found = 0;
        each([&](std::uint64_t key) { found += key >= limit ? 1 : 0; });
        return static_cast<std::int64_t>(block_sum(found, scratch));
    };
    std::uint64_t cut = 1;
    if (count(cut) > size) {
        std::uint64_t high = 0, below = 0;
        each([&](std::uint64_t key) {
            high = key > high ? key : high;
            below = ~key > below ? ~key : below;
        });
        const std::uint64_t low = ~block_max(below, scratch);
        cut = find_cut(low, block_max(high, scratch), n < size ? n : size, size, count);
    }
    if (threadIdx.x == 0) gathered[0] = 0;
    block_sync();
    each([&](std::uint64_t key) {
        if (key >= cut) best[atomic_add(gathered, 1)] = key;
    });
    block_sync();
    const std::int64_t found = gathered[0], sorted = sort_size(found, 1);
    for (std::int64_t e = found + threadIdx.x; e < sorted; e += blockDim.x) best[e] = kNoRank;
    block_sort(best, sorted);
    for (std::int64_t e = threadIdx.x; e < n; e += blockDim.x) {
        std::uint64_t key = kNoRank;
        if (e < found) key = best[e];
        ids[user * n + e] = e < found ? rank_index(key) : -1;
        scores[user * n + e] = e < found ? rank_score(key) : -std::numeric_limits<float>::infinity();
    }
}

// The arguments on the device.
class Staged {
  public:
    explicit Staged(const ItemScoresQuery& query)
        : indptr_(query.histories.indptr, query.histories.rows + 1),
          indices_(query.histories.indices, query.histories.nnz()),
          values_(query.histories.values, query.histories.nnz()),
          weights_(query.weights),
          base_(query.base),
          users_(query.users),
          model_{indptr_.data(), indices_.data(),      values_.data(),    weights_.data(),
                 base_.data(),   query.weights.stride, query.weights.rows} {}

    const Model& model() const { return model_; }
    const std::int32_t* users() const { return users_.data(); }

    void score(std::int64_t first, std::int64_t n, float* out) const {
        const std::int64_t tiles = blocks_for(model_.n_items, kThreads);
        FASTCF_LAUNCH(scores_kernel, n * tiles, kThreads, 0, model_, users() + first, n, out);
    }

  private:
    In<std::int64_t> indptr_;
    In<std::int32_t> indices_;
    In<float> values_, weights_, base_;
    In<std::int32_t> users_;
    Model model_;
};

std::int64_t users_at_once(std::int64_t n_users, std::int64_t bytes_each) {
    const std::int64_t memory = std::min(kScoreBytes, device_free_bytes() / 2);
    return std::clamp<std::int64_t>(memory / std::max<std::int64_t>(bytes_each, 1), 1, n_users);
}

}  // namespace

void item_scores_block(const ItemScoresQuery& query, MatrixView<float> out) {
    check_item_scores(query, "item_scores_block");
    const std::int64_t n_items = query.weights.rows, m = query.users.size;
    check(out.rows == m && out.cols == n_items, "item_scores_block: the result must be (", m, ", ", n_items, "); got (",
          out.rows, ", ", out.cols, ")");
    check(out.stride == n_items, "item_scores_block: the result must be contiguous");
    if (m == 0 || n_items == 0) return;
    const Staged staged(query);
    const std::int64_t pass = users_at_once(m, 4 * n_items);
    for (std::int64_t first = 0; first < m; first += pass) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t n = std::min(pass, m - first);
        const Out<float> part(out.row(first), n * n_items);
        staged.score(first, n, part.data());
        part.finish();
    }
}

void item_scores_pairs(const ItemScoresQuery& query, VectorView<const std::int32_t> items, VectorView<float> out) {
    check_item_scores(query, "item_scores_pairs");
    check_item_rows(query, items, out);
    if (items.size == 0) return;
    const Staged staged(query);
    const In<std::int32_t> rows(items);
    const Out<float> result(out);
    FASTCF_LAUNCH(pairs_kernel, blocks_for(items.size, kThreads), kThreads, 0, staged.model(), staged.users(),
                  rows.data(), items.size, result.data());
    result.finish();
}

void item_scores_best(const ItemScoresQuery& query, TopkQuery selection, MatrixView<std::int32_t> ids,
                      MatrixView<float> scores) {
    check_item_scores(query, "item_scores_best");
    selection = selection_of_items(query, selection);
    std::vector<std::int32_t> candidates, excluded, seen_copy;
    std::vector<std::int64_t> indptr_copy;
    if (selection.candidates) bring_to_host(*selection.candidates, candidates);
    bring_to_host(selection.excluded, excluded);
    bring_to_host(selection.seen_indptr, indptr_copy);
    bring_to_host(selection.seen_indices, seen_copy);
    check_topk(selection, ids, scores);
    check(ids.stride == ids.cols && scores.stride == scores.cols, "item_scores_best: the outputs must be contiguous");
    const TopkPool pool = topk_pool(selection);
    const std::int64_t m = query.users.size, n = ids.cols, n_items = query.weights.rows;
    if (m == 0 || n == 0) return;
    const Staged staged(query);
    const DeviceArray<std::int32_t> pool_ids(pool.ids);
    const std::int64_t size = sort_size(std::min(n, pool.size), 64);
    const bool spilt = size > kSortedInShared;
    const std::int64_t pass = users_at_once(m, 4 * n_items + 8 * n + (spilt ? 8 * size : 0));
    DeviceArray<float> all(pass * n_items);
    DeviceArray<std::uint64_t> spill(spilt ? pass * size : 0);
    const auto threads = static_cast<int>(std::clamp<std::int64_t>(sort_size(pool.size / 8, kWarp), 64, kListThreads));
    for (std::int64_t first = 0; first < m; first += pass) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t users = std::min(pass, m - first);
        if (n_items > 0) staged.score(first, users, all.data());
        if (!selection.seen_indptr.empty()) {
            const std::int64_t* indptr = selection.seen_indptr.data + first;
            const std::int64_t first_entry = indptr[0], entries = indptr[users] - first_entry;
            const In<std::int64_t> rows(indptr, users + 1);
            const In<std::int32_t> seen(selection.seen_indices.data + first_entry, entries);
            if (entries > 0)
                FASTCF_LAUNCH(leave_out_kernel, users, kThreads, 0, rows.data(), seen.data(), first_entry, n_items,
                              all.data());
        }
        const Out<std::int32_t> pass_ids(ids.row(first), users * n);
        const Out<float> pass_scores(scores.row(first), users * n);
        if (spilt)
            FASTCF_LAUNCH((best_kernel<true>), users, threads, 0, all.data(), n_items, pool_ids.data(), pool.size, size,
                          spill.data(), n, pass_ids.data(), pass_scores.data());
        else
            FASTCF_LAUNCH((best_kernel<false>), users, threads, size * 8, all.data(), n_items, pool_ids.data(),
                          pool.size, size, spill.data(), n, pass_ids.data(), pass_scores.data());
        pass_ids.finish();
        pass_scores.finish();
    }
}

}  // namespace fastcf
