#include "ops/nearest.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "math/dot.h"
#include "math/order.h"
#include "ops/normalize.h"
#include "ops/topk.h"

namespace fastcf {
namespace {

constexpr std::int64_t kRowsPerTask = 256;

double distance(const float* a, const float* b, std::int64_t k) {
    double sum = 0.0;
    for (std::int64_t f = 0; f < k; ++f) {
        const double difference = static_cast<double>(a[f]) - static_cast<double>(b[f]);
        sum += difference * difference;
    }
    return std::sqrt(sum);
}

AlignedBuffer<float> normalised(MatrixView<const float> rows, int n_threads) {
    AlignedBuffer<float> out(rows.rows * rows.cols);
    normalize<float>(rows, 1.0, {out.data(), rows.rows, rows.cols, rows.cols}, n_threads);
    return out;
}

AlignedBuffer<float> half_squared_norms(MatrixView<const float> rows, int n_threads) {
    AlignedBuffer<float> out(rows.rows);
    parallel_chunks(rows.rows, kRowsPerTask, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i)
            out[i] = static_cast<float>(-0.5 * squared_norm(rows.row(i), rows.cols));
    });
    return out;
}

// Replaces the scores of the selected items by distances and orders by them.
void order_by_distance(const NearestQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> scores) {
    parallel_chunks(ids.rows, kRowsPerTask, query.n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        std::vector<std::uint64_t> keys;
        for (std::int64_t u = begin; u < end; ++u) {
            keys.clear();
            for (std::int64_t j = 0; j < ids.cols && ids.row(u)[j] >= 0; ++j) {
                const std::int32_t id = ids.row(u)[j];
                const double away = distance(query.queries.row(u), query.items.row(id), query.items.cols);
                keys.push_back(rank_key(-static_cast<float>(away), id));
            }
            std::sort(keys.begin(), keys.end(), std::greater<>());
            for (std::int64_t j = 0; j < ids.cols; ++j) {
                const bool found = j < static_cast<std::int64_t>(keys.size());
                if (found) ids.row(u)[j] = rank_index(keys[static_cast<std::size_t>(j)]);
                scores.row(u)[j] = found ? 0.0f - rank_score(keys[static_cast<std::size_t>(j)])
                                         : std::numeric_limits<float>::infinity();
            }
        }
    });
}

}  // namespace

void nearest(const NearestQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> scores) {
    const std::int64_t n_queries = query.queries.rows, n_items = query.items.rows, k = query.items.cols;
    check_nearest(query);
    TopkQuery search;
    search.queries = query.queries;
    search.items = query.items;
    search.candidates = query.candidates;
    search.excluded = query.excluded;
    search.item_bias = query.item_bias;
    search.n_threads = query.n_threads;

    const OwnRows own(query.query_rows);
    search.seen_indptr = own.seen_indptr();
    search.seen_indices = own.seen_indices();

    AlignedBuffer<float> queries_copy, items_copy;
    if (query.metric == Metric::cosine) {
        queries_copy = normalised(query.queries, query.n_threads);
        items_copy = normalised(query.items, query.n_threads);
        search.queries = {queries_copy.data(), n_queries, k, k};
        search.items = {items_copy.data(), n_items, k, k};
    } else if (query.metric == Metric::euclidean && query.item_bias.empty()) {
        items_copy = half_squared_norms(query.items, query.n_threads);
        search.item_bias = {items_copy.data(), n_items};
    }
    topk(search, ids, scores);
    if (query.metric == Metric::euclidean) order_by_distance(query, ids, scores);
    if (query.metric == Metric::cosine)  // rounding may step over the bounds; padding (-1) stays -infinity
        for (std::int64_t u = 0; u < ids.rows; ++u)
            for (std::int64_t j = 0; j < ids.cols && ids.row(u)[j] >= 0; ++j)
                scores.row(u)[j] = std::clamp(scores.row(u)[j], -1.0f, 1.0f);
}

}  // namespace fastcf
