// A thread per user and item; lists are taken from rows of scores, see row_lists.h.
#include <cmath>

#include "cuda/kernel.h"
#include "cuda/row_lists.h"
#include "cuda/staging.h"
#include "ops/item_scores.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

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

}  // namespace

void item_scores_block(const ItemScoresQuery& query, MatrixView<float> out) {
    check_item_scores(query, "item_scores_block");
    const std::int64_t n_items = query.weights.rows, m = query.users.size;
    check(out.rows == m && out.cols == n_items, "item_scores_block: the result must be (", m, ", ", n_items, "); got (",
          out.rows, ", ", out.cols, ")");
    check(out.stride == n_items, "item_scores_block: the result must be contiguous");
    if (m == 0 || n_items == 0) return;
    const Staged staged(query);
    write_score_rows(out, [&](std::int64_t first, std::int64_t n, float* rows) { staged.score(first, n, rows); });
}

void item_scores_pairs(const ItemScoresQuery& query, VectorView<const std::int32_t> items, VectorView<float> out) {
    check_item_scores(query, "item_scores_pairs");
    check_scored_pairs(query.users, items, query.weights.rows, out, "item_scores_pairs");
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
    const Staged staged(query);
    best_of_score_rows(selection_among(query.users.size, query.weights.rows, selection), ids, scores,
                       "item_scores_best",
                       [&](std::int64_t first, std::int64_t n, float* rows) { staged.score(first, n, rows); });
}

}  // namespace fastcf
