// A block adds up the scores of a user in a row of all items in global memory, which L2 holds, one entry of the history
// after the other; lists are taken from such rows, see row_lists.h.
#include "cuda/kernel.h"
#include "cuda/row_lists.h"
#include "cuda/staging.h"
#include "ops/sparse_item_scores.h"

namespace fastcf {
namespace {

constexpr int kThreads = 128;

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

}  // namespace

void sparse_item_scores_block(const SparseItemScoresQuery& query, MatrixView<float> out) {
    constexpr const char* kCaller = "sparse_item_scores_block";
    check_sparse_item_scores(query, kCaller);
    const std::int64_t n_items = query.weights.cols;
    check(out.rows == query.users.size && out.cols == n_items && out.stride == n_items, kCaller,
          ": the result must be (", query.users.size, ", ", n_items, "); got (", out.rows, ", ", out.cols, ")");
    const DeviceModel model(query, kCaller);
    write_score_rows(out, [&](std::int64_t first, std::int64_t n, float* rows) { model.score(first, n, rows); });
}

void sparse_item_scores_pairs(const SparseItemScoresQuery& query, VectorView<const std::int32_t> items,
                              VectorView<float> out) {
    constexpr const char* kCaller = "sparse_item_scores_pairs";
    check_sparse_item_scores(query, kCaller);
    check_scored_pairs(query.users, items, query.weights.cols, out, kCaller);
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
    const DeviceModel model(query, kCaller);
    best_of_score_rows(selection_among(query.users.size, query.weights.cols, selection), ids, scores, kCaller,
                       [&](std::int64_t first, std::int64_t n, float* rows) { model.score(first, n, rows); });
}

}  // namespace fastcf
