// A block adds up the scores of a user in a row of all items in global memory, which L2 holds, one entry of the history
// after the other; lists are taken from such rows, in which the items that a user does not get are NaN.
#include <algorithm>
#include <vector>

#include "core/interrupt.h"
#include "cuda/kernel.h"
#include "cuda/select.h"
#include "cuda/staging.h"
#include "ops/sparse_item_scores.h"

namespace fastcf {
namespace {

constexpr int kThreads = 128;
constexpr std::int64_t kRowBytes = 512 << 20;  // of rows of scores at once

struct SparseModel {
    Global<const std::int64_t> indptr, weights_indptr;
    Global<const std::int32_t> indices, weights_indices;
    Global<const float> values, weights, base;  // base may be null
    std::int64_t n_items;
};

// One block per user: 12 bytes and a multiply-add per weight of the history's entries, 4 bytes per item. Bound by L2
// and a barrier per entry. 128 threads. Deterministic.
FASTCF_KERNEL(kThreads)
void sparse_rows_kernel(SparseModel model, Global<const std::int32_t> users, Global<float> rows) {
    const std::int64_t m = blockIdx.x;
    const std::int32_t user = users[m];
    const Global<float> row = rows + m * model.n_items;
    std::int64_t begin = 0, end = 0;
    if (user >= 0) {
        begin = model.indptr[user];
        end = model.indptr[user + 1];
    }
    for (std::int64_t i = threadIdx.x; i < model.n_items; i += kThreads) {
        float score = 0.0f;
        if (begin == end && model.base != nullptr) score = model.base[i];
        row[i] = score;
    }
    block_sync();
    for (std::int64_t h = begin; h < end; ++h) {
        const std::int32_t j = model.indices[h];
        const float x = model.values[h];
        const std::int64_t first = model.weights_indptr[j], last = model.weights_indptr[j + 1];
        for (std::int64_t e = first + threadIdx.x; e < last; e += kThreads) {
            const std::int32_t item = model.weights_indices[e];
            const float weight = model.weights[e], before = row[item];
            row[item] = fmaf(x, weight, before);
        }
        block_sync();
    }
}

// One thread per pair: the logarithm of a row's length fetches per entry of the history, which bound it. Deterministic.
FASTCF_KERNEL(kThreads)
void sparse_pairs_kernel(SparseModel model, Global<const std::int32_t> users, Global<const std::int32_t> items,
                         std::int64_t n, Global<float> out) {
    const std::int64_t pair = global_thread();
    if (pair >= n) return;
    const std::int32_t user = users[pair], item = items[pair];
    std::int64_t begin = 0, end = 0;
    if (user >= 0) {
        begin = model.indptr[user];
        end = model.indptr[user + 1];
    }
    float sum = 0.0f;
    if (item >= 0 && begin == end && model.base != nullptr) sum = model.base[item];
    for (std::int64_t h = begin; item >= 0 && h < end; ++h) {
        const std::int32_t j = model.indices[h];
        std::int64_t low = model.weights_indptr[j], high = model.weights_indptr[j + 1];
        const std::int64_t last = high;
        while (low < high) {
            const std::int64_t middle = low + (high - low) / 2;
            const std::int32_t column = model.weights_indices[middle];
            if (column < item)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == last) continue;
        const std::int32_t column = model.weights_indices[low];
        if (column != item) continue;
        const float x = model.values[h], weight = model.weights[low];
        sum = fmaf(x, weight, sum);
    }
    out[pair] = sum;
}

// One block per user: what was seen becomes NaN. 8 bytes per seen item.
FASTCF_KERNEL(kThreads)
void hide_seen_kernel(Global<const std::int64_t> seen_indptr, Global<const std::int32_t> seen, std::int64_t seen_first,
                      std::int64_t n_items, Global<float> rows) {
    const std::int64_t m = blockIdx.x, end = seen_indptr[m + 1] - seen_first;
    for (std::int64_t e = seen_indptr[m] - seen_first + threadIdx.x; e < end; e += kThreads) {
        const std::int32_t item = seen[e];
        rows[m * n_items + item] = std::numeric_limits<float>::quiet_NaN();
    }
}

// One block per user: 4 bytes per item of the pool for each of about ten passes, from L2, which bound it.
// Deterministic.
template <bool kSpilt>
FASTCF_KERNEL(kThreads)
void best_of_rows_kernel(Global<const float> rows, std::int64_t n_items, Global<const std::int32_t> pool,
                         std::int64_t pool_size, std::int64_t size, Global<std::uint64_t> spill, std::int64_t n,
                         Global<std::int32_t> ids, Global<float> scores) {
    FASTCF_SHARED(std::uint64_t, scratch, kWarp);
    FASTCF_SHARED(int, gathered, 1);
    const std::int64_t m = blockIdx.x;
    const Global<std::uint64_t> best = sort_space<kSpilt>(spill, size);
    const Global<const float> row = rows + m * n_items;
    const auto each = [&](auto&& take) {
        for (std::int64_t at = threadIdx.x; at < pool_size; at += kThreads) {
            std::int32_t item = static_cast<std::int32_t>(at);
            if (pool != nullptr) item = pool[at];
            const float score = row[item];
            if (score == score) take(rank_key(score, item));
        }
    };
    write_best(each, best, size, n, scratch, gathered, ids + m * n, scores + m * n);
}

// The arrays of a query on the device; histories and weights were looked at.
class DeviceModel {
  public:
    DeviceModel(const SparseItemScoresQuery& query, const char* caller)
        : indptr_(query.histories.indptr, query.histories.rows + 1),
          weights_indptr_(query.weights.indptr, query.weights.rows + 1),
          indices_(query.histories.indices, query.histories.entries),
          weights_indices_(query.weights.indices, query.weights.entries),
          users_(query.users),
          values_(query.histories.values, query.histories.entries),
          weights_(query.weights.values, query.weights.entries),
          base_(query.base),
          n_items_(query.weights.cols) {
        for (std::int64_t u = 0; u < query.histories.rows; ++u)
            check_row(query.histories, u, false, caller, "histories");
        for (std::int64_t j = 0; j < query.weights.rows; ++j) check_row(query.weights, j, true, caller, "weights");
    }

    SparseModel model() const {
        return {indptr_.data(), weights_indptr_.data(), indices_.data(), weights_indices_.data(),
                values_.data(), weights_.data(),        base_.data(),    n_items_};
    }
    const std::int32_t* users() const { return users_.data(); }

    void score(std::int64_t first, std::int64_t n, float* rows) const {
        FASTCF_LAUNCH(sparse_rows_kernel, n, kThreads, 0, model(), users_.data() + first, rows);
    }

  private:
    const In<std::int64_t> indptr_, weights_indptr_;
    const In<std::int32_t> indices_, weights_indices_, users_;
    const In<float> values_, weights_, base_;
    std::int64_t n_items_;
};

std::int64_t users_at_once(std::int64_t bytes_of_user, std::int64_t users) {
    const std::int64_t memory = std::min(kRowBytes, device_free_bytes() / 2);
    return std::clamp<std::int64_t>(memory / std::max<std::int64_t>(bytes_of_user, 1), 1,
                                    std::max<std::int64_t>(users, 1));
}

}  // namespace

void sparse_item_scores_block(const SparseItemScoresQuery& query, MatrixView<float> out) {
    constexpr const char* kCaller = "sparse_item_scores_block";
    check_sparse_item_scores(query, kCaller);
    const std::int64_t n_items = query.weights.cols;
    check(out.rows == query.users.size && out.cols == n_items && out.stride == n_items, kCaller,
          ": the result must be (", query.users.size, ", ", n_items, "); got (", out.rows, ", ", out.cols, ")");
    const DeviceModel model(query, kCaller);
    const std::int64_t step = users_at_once(4 * n_items, out.rows);
    for (std::int64_t first = 0; first < out.rows; first += step) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t n = std::min(step, out.rows - first);
        const Out<float> rows(out.row(first), n * n_items);
        model.score(first, n, rows.data());
        rows.finish();
    }
}

void sparse_item_scores_pairs(const SparseItemScoresQuery& query, VectorView<const std::int32_t> items,
                              VectorView<float> out) {
    constexpr const char* kCaller = "sparse_item_scores_pairs";
    check_sparse_item_scores(query, kCaller);
    check_pair_items(query, items, out, kCaller);
    const DeviceModel model(query, kCaller);
    const In<std::int32_t> rows(items);
    const Out<float> scores(out);
    FASTCF_LAUNCH(sparse_pairs_kernel, blocks_for(items.size, kThreads), kThreads, 0, model.model(), model.users(),
                  rows.data(), items.size, scores.data());
    scores.finish();
}

void sparse_item_scores_best(const SparseItemScoresQuery& query, TopkQuery selection, MatrixView<std::int32_t> ids,
                             MatrixView<float> scores) {
    constexpr const char* kCaller = "sparse_item_scores_best";
    check_sparse_item_scores(query, kCaller);
    const std::int64_t n_items = query.weights.cols, n_users = query.users.size, n = ids.cols;
    selection.queries = {nullptr, n_users, 0, 0};
    selection.items = {nullptr, n_items, 0, 0};
    check_topk(selection, ids, scores);
    check(ids.stride == n && scores.stride == n, kCaller, ": the outputs must be contiguous");
    const TopkPool pool = topk_pool(selection);
    const DeviceModel model(query, kCaller);
    if (n_users == 0 || n == 0) return;
    const DeviceArray<std::int32_t> pool_ids(pool.ids);
    const std::int64_t size = sort_size(std::min(n, pool.size), 64);
    const bool spilt = size > kSortedInShared;
    const std::int64_t step = users_at_once(4 * n_items + 8 * n + (spilt ? 8 * size : 0), n_users);
    DeviceArray<float> rows(step * n_items);
    DeviceArray<std::uint64_t> spill(spilt ? step * size : 0);
    const std::int64_t* const indptr = selection.seen_indptr.data;
    for (std::int64_t first = 0; first < n_users; first += step) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t m = std::min(step, n_users - first);
        model.score(first, m, rows.data());
        if (indptr != nullptr) {
            const In<std::int64_t> own(indptr + first, m + 1);
            const In<std::int32_t> seen(selection.seen_indices.data + indptr[first], indptr[first + m] - indptr[first]);
            FASTCF_LAUNCH(hide_seen_kernel, m, kThreads, 0, own.data(), seen.data(), indptr[first], n_items,
                          rows.data());
        }
        const Out<std::int32_t> found(ids.row(first), m * n);
        const Out<float> best(scores.row(first), m * n);
        if (spilt)
            FASTCF_LAUNCH(best_of_rows_kernel<true>, m, kThreads, 0, rows.data(), n_items, pool_ids.data(), pool.size,
                          size, spill.data(), n, found.data(), best.data());
        else
            FASTCF_LAUNCH(best_of_rows_kernel<false>, m, kThreads, size * 8, rows.data(), n_items, pool_ids.data(),
                          pool.size, size, spill.data(), n, found.data(), best.data());
        found.finish();
        best.finish();
    }
}

}  // namespace fastcf
