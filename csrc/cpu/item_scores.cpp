// Few users: a user's row of scores is computed whole, in scratch, and looked through. Many: chunks of users, for which
// 64 columns of weights at a time are copied side by side; every user passes them and keeps what is above their list's
// threshold, so that scores are compared where they are computed.
#include "ops/item_scores.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "cpu/item_lists.h"
#include "cpu/item_scores_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kMostUsers = 4096;      // of a chunk
constexpr std::int64_t kListBytes = 64 << 20;  // of TopList buffers per thread
constexpr std::int64_t kPackedReads = 2;       // entries of histories per row of weights that repay copying a panel
constexpr std::int64_t kFewCandidates = 32;    // one item in so many is computed by itself
constexpr std::int64_t kPairsPerTask = 1024;

class Histories {
  public:
    explicit Histories(const ItemScoresQuery& query) : query_(query) {}

    std::int64_t size(std::int64_t u) const {
        const std::int32_t row = query_.users[u];
        return row < 0 ? 0 : query_.histories.row_size(row);
    }
    // Of a user with a history.
    WeightedRows rows(std::int64_t u, const float* weights, std::int64_t stride) const {
        const std::int64_t first = query_.histories.indptr[query_.users[u]];
        return {query_.histories.values + first, query_.histories.indices + first, size(u), weights, stride};
    }
    WeightedRows rows(std::int64_t u) const { return rows(u, query_.weights.data, query_.weights.stride); }
    float base(std::int64_t item) const { return query_.base.empty() ? 0.0f : query_.base[item]; }

    void score_row(std::int64_t u, float* out) const {
        if (size(u) > 0)
            kernels_.row(rows(u), query_.weights.cols, out);
        else
            for (std::int64_t i = 0; i < query_.weights.cols; ++i) out[i] = base(i);
    }
    float score(std::int64_t u, std::int64_t item) const {
        WeightedRows of = rows(u);
        of.weights += item;
        return kernels_.pair(of);
    }

    // Whether chunks of so many users repay copying panels.
    bool packed(std::int64_t chunk) const {
        std::int64_t entries = 0;
        for (std::int64_t u = 0; u < query_.users.size; ++u) entries += size(u);
        const std::int64_t chunks = (query_.users.size + chunk - 1) / chunk;
        return entries >= kPackedReads * query_.weights.rows * chunks;
    }

    const ItemScoresKernels& kernels() const { return kernels_; }

  private:
    const ItemScoresQuery& query_;
    const ItemScoresKernels& kernels_ = FASTCF_SELECT_ISA(item_scores_kernels);
};

std::int64_t chunk_of(std::int64_t users, std::int64_t most, int threads) {
    const std::int64_t each = (users + 2 * threads - 1) / (2 * threads);
    return std::clamp<std::int64_t>(each, 1, std::max<std::int64_t>(1, std::min(kMostUsers, most)));
}

// Copies columns of all rows side by side, zeros beyond the last; `ids` names them, or null: those from `first` on.
void pack(MatrixView<const float> weights, const std::int32_t* ids, std::int64_t first, std::int64_t count,
          float* panel) {
    for (std::int64_t j = 0; j < weights.rows; ++j, panel += kItemPanel) {
        const float* row = weights.row(j);
        if (ids == nullptr)
            std::copy_n(row + first, count, panel);
        else
            for (std::int64_t c = 0; c < count; ++c) panel[c] = row[ids[first + c]];
        std::fill(panel + count, panel + kItemPanel, 0.0f);
    }
}

// Lists of users, each of whom is scored alone.
void best_by_user(const ItemScoresQuery& query, const Histories& histories, const TopkQuery& selection,
                  const TopkPool& pool, MatrixView<std::int32_t> ids, MatrixView<float> scores, std::int64_t capacity,
                  int threads) {
    const std::int64_t n = ids.cols, n_items = query.weights.rows;
    const bool few = !pool.ids.empty() && pool.size * kFewCandidates < n_items;
    const ItemBias bias(selection);
    AlignedBuffer<float> rows(few ? 0 : threads * row_stride(n_items));
    AlignedBuffer<std::uint64_t> keys(threads * capacity);
    parallel_for(query.users.size, threads, [&](std::int64_t u, int thread) {
        std::uint64_t* own = keys.data() + thread * capacity;
        ListOfUser list(selection, u, own, capacity, std::min(n, pool.size));
        if (few) {
            for (std::int64_t at = 0; at < pool.size; ++at) {
                const std::int32_t id = pool.id(at);
                list.take((histories.size(u) > 0 ? histories.score(u, id) : histories.base(id)) + bias.of(id), id);
            }
        } else {
            float* row = rows.data() + thread * row_stride(n_items);
            histories.score_row(u, row);
            bias.add_to(row);
            float threshold = list.threshold();
            for (std::int64_t at = 0; at < pool.size; ++at) {
                const std::int32_t id = pool.id(at);
                if (row[id] <= threshold) continue;
                list.take(row[id], id);
                threshold = list.threshold();
            }
        }
        list.write(ids.row(u), scores.row(u), n);
    });
}

// Lists of a chunk of users.
void best_of_chunk(const ItemScoresQuery& query, const Histories& histories, const TopkQuery& selection,
                   const TopkPool& pool, std::int64_t begin, std::int64_t end, MatrixView<std::int32_t> ids,
                   MatrixView<float> scores, std::int64_t capacity) {
    const std::int64_t n = ids.cols, n_users = end - begin;
    const ItemBias bias(selection);
    AlignedBuffer<float> panel(query.weights.rows * kItemPanel);
    AlignedBuffer<std::uint64_t> keys(n_users * capacity);
    std::vector<ListOfUser> lists;
    lists.reserve(static_cast<std::size_t>(n_users));
    for (std::int64_t u = 0; u < n_users; ++u)
        lists.emplace_back(selection, begin + u, keys.data() + u * capacity, capacity, std::min(n, pool.size));
    for (std::int64_t first = 0; first < pool.size; first += kItemPanel) {
        const std::int64_t count = std::min<std::int64_t>(kItemPanel, pool.size - first);
        const std::uint64_t real = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
        pack(query.weights, pool.ids.empty() ? nullptr : pool.ids.data(), first, count, panel.data());
        for (std::int64_t u = 0; u < n_users; ++u) {
            ListOfUser& list = lists[static_cast<std::size_t>(u)];
            alignas(kAlignment) float block[kItemPanel];
            std::uint64_t hits = real;
            if (histories.size(begin + u) > 0)
                hits &= histories.kernels().panel(histories.rows(begin + u, panel.data(), kItemPanel),
                                                  bias.threshold(list), block);
            else
                for (std::int64_t c = 0; c < count; ++c) block[c] = histories.base(pool.id(first + c));
            for (; hits != 0; hits &= hits - 1) {
                const int c = std::countr_zero(hits);
                list.take(block[c] + bias.of(pool.id(first + c)), pool.id(first + c));
            }
        }
    }
    for (std::int64_t u = 0; u < n_users; ++u)
        lists[static_cast<std::size_t>(u)].write(ids.row(begin + u), scores.row(begin + u), n);
}

}  // namespace

void item_scores_block(const ItemScoresQuery& query, MatrixView<float> out) {
    check_item_scores(query, "item_scores_block");
    const std::int64_t n_items = query.weights.rows;
    check(out.rows == query.users.size && out.cols == n_items, "item_scores_block: the result must be (",
          query.users.size, ", ", n_items, "); got (", out.rows, ", ", out.cols, ")");
    const Histories histories(query);
    const int threads = resolve_threads(query.n_threads);
    const std::int64_t chunk = chunk_of(query.users.size, kMostUsers, threads);
    if (!histories.packed(chunk)) {
        parallel_for(query.users.size, threads, [&](std::int64_t u, int) { histories.score_row(u, out.row(u)); });
        return;
    }
    parallel_chunks(query.users.size, chunk, threads, [&](std::int64_t begin, std::int64_t end, int) {
        AlignedBuffer<float> panel(n_items * kItemPanel);
        for (std::int64_t first = 0; first < n_items; first += kItemPanel) {
            const std::int64_t count = std::min<std::int64_t>(kItemPanel, n_items - first);
            pack(query.weights, nullptr, first, count, panel.data());
            for (std::int64_t u = begin; u < end; ++u) {
                if (histories.size(u) > 0)
                    histories.kernels().row(histories.rows(u, panel.data(), kItemPanel), count, out.row(u) + first);
                else
                    for (std::int64_t c = 0; c < count; ++c) out.row(u)[first + c] = histories.base(first + c);
            }
        }
    });
}

void item_scores_pairs(const ItemScoresQuery& query, VectorView<const std::int32_t> items, VectorView<float> out) {
    check_item_scores(query, "item_scores_pairs");
    check_scored_pairs(query.users, items, query.weights.rows, out, "item_scores_pairs");
    const Histories histories(query);
    parallel_chunks(items.size, kPairsPerTask, query.n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t e = begin; e < end; ++e)
            out[e] = items[e] < 0            ? 0.0f
                     : histories.size(e) > 0 ? histories.score(e, items[e])
                                             : histories.base(items[e]);
    });
}

void item_scores_best(const ItemScoresQuery& query, TopkQuery selection, MatrixView<std::int32_t> ids,
                      MatrixView<float> scores) {
    check_item_scores(query, "item_scores_best");
    const std::int64_t n = ids.cols;
    selection = selection_among(query.users.size, query.weights.rows, selection);
    check_topk(selection, ids, scores);
    const TopkPool pool = topk_pool(selection);
    if (query.users.size == 0 || n == 0) return;
    const Histories histories(query);
    const int threads = resolve_threads(query.n_threads);
    const std::int64_t capacity = TopList::capacity_for(std::min(n, pool.size), pool.size);
    const std::int64_t list_bytes = capacity * static_cast<std::int64_t>(sizeof(std::uint64_t));
    const std::int64_t chunk = chunk_of(query.users.size, kListBytes / list_bytes, threads);
    if (!histories.packed(chunk)) {
        best_by_user(query, histories, selection, pool, ids, scores, capacity, threads);
        return;
    }
    parallel_chunks(query.users.size, chunk, threads, [&](std::int64_t begin, std::int64_t end, int) {
        best_of_chunk(query, histories, selection, pool, begin, end, ids, scores, capacity);
    });
}

}  // namespace fastcf
