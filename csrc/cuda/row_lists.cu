// Scores of some users at a time are written to the device's memory, which L2 holds much of; a block per user then
// takes the best of them. What a user does not get is NaN there.
#include <algorithm>
#include <limits>
#include <vector>

#include "core/interrupt.h"
#include "cuda/kernel.h"
#include "cuda/row_lists.h"
#include "cuda/select.h"
#include "cuda/staging.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kListThreads = 512;
constexpr std::int64_t kScoreBytes = 256 << 20;  // of users at a time

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
// the row, 4 bytes a score from L2, as many of a bias) and sorted in `size` places of shared memory, or of `spill`.
// Bound by L2. Deterministic.
template <bool Spilt>
FASTCF_KERNEL(kListThreads)
void best_of_rows_kernel(Global<const float> all_scores, Global<const float> item_bias, std::int64_t n_items,
                         Global<const std::int32_t> pool, std::int64_t pool_size, std::int64_t size,
                         Global<std::uint64_t> spill, std::int64_t n, Global<std::int32_t> ids, Global<float> scores) {
    FASTCF_SHARED(std::uint64_t, scratch, kWarp);
    FASTCF_SHARED(int, gathered, 1);
    const std::int64_t user = blockIdx.x;
    const Global<std::uint64_t> best = sort_space<Spilt>(spill, size);
    const auto each = [&](auto&& take) {
        for (std::int64_t at = threadIdx.x; at < pool_size; at += blockDim.x) {
            std::int32_t item = static_cast<std::int32_t>(at);
            if (pool != nullptr) item = pool[at];
            float score = all_scores[user * n_items + item];
            if (item_bias != nullptr) score += item_bias[item];
            if (score > -std::numeric_limits<float>::infinity()) take(rank_key(score, item));
        }
    };
    write_best(each, best, size, n, scratch, gathered, ids + user * n, scores + user * n);
}

std::int64_t users_at_once(std::int64_t n_users, std::int64_t bytes_each) {
    const std::int64_t memory = std::min(kScoreBytes, device_free_bytes() / 2);
    return std::clamp<std::int64_t>(memory / std::max<std::int64_t>(bytes_each, 1), 1, n_users);
}

}  // namespace

void write_score_rows(MatrixView<float> out, const ScoreRows& score) {
    if (out.rows == 0 || out.cols == 0) return;
    const std::int64_t pass = users_at_once(out.rows, 4 * out.cols);
    for (std::int64_t first = 0; first < out.rows; first += pass) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t n = std::min(pass, out.rows - first);
        const Out<float> part(out.row(first), n * out.cols);
        score(first, n, part.data());
        part.finish();
    }
}

void best_of_score_rows(TopkQuery selection, MatrixView<std::int32_t> ids, MatrixView<float> scores, const char* caller,
                        const ScoreRows& score) {
    std::vector<std::int32_t> candidates, excluded, seen_copy;
    std::vector<std::int64_t> indptr_copy;
    if (selection.candidates) bring_to_host(*selection.candidates, candidates);
    bring_to_host(selection.excluded, excluded);
    bring_to_host(selection.seen_indptr, indptr_copy);
    bring_to_host(selection.seen_indices, seen_copy);
    check_topk(selection, ids, scores);
    check(ids.stride == ids.cols && scores.stride == scores.cols, caller, ": the outputs must be contiguous");
    const TopkPool pool = topk_pool(selection);
    const std::int64_t n_users = ids.rows, n = ids.cols, n_items = selection.items.rows;
    if (n_users == 0 || n == 0) return;
    const DeviceArray<std::int32_t> pool_ids(pool.ids);
    const In<float> item_bias(selection.item_bias);
    const std::int64_t size = sort_size(std::min(n, pool.size), 64);
    const bool spilt = size > kSortedInShared;
    const std::int64_t pass = users_at_once(n_users, 4 * n_items + 8 * n + (spilt ? 8 * size : 0));
    DeviceArray<float> all(pass * n_items);
    DeviceArray<std::uint64_t> spill(spilt ? pass * size : 0);
    const auto threads = static_cast<int>(std::clamp<std::int64_t>(sort_size(pool.size / 8, kWarp), 64, kListThreads));
    for (std::int64_t first = 0; first < n_users; first += pass) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t users = std::min(pass, n_users - first);
        if (n_items > 0) score(first, users, all.data());
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
            FASTCF_LAUNCH((best_of_rows_kernel<true>), users, threads, 0, all.data(), item_bias.data(), n_items,
                          pool_ids.data(), pool.size, size, spill.data(), n, pass_ids.data(), pass_scores.data());
        else
            FASTCF_LAUNCH((best_of_rows_kernel<false>), users, threads, size * 8, all.data(), item_bias.data(), n_items,
                          pool_ids.data(), pool.size, size, spill.data(), n, pass_ids.data(), pass_scores.data());
        pass_ids.finish();
        pass_scores.finish();
    }
}

}  // namespace fastcf
