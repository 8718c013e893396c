// Inner products go to topk() as they are. Otherwise the items' norms, or normalised copies of them, stay on the device
// while queries come in passes, each of which calls topk() with arrays of the device and goes on with what it leaves.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cuda/dot.h"
#include "cuda/kernel.h"
#include "cuda/rows.h"
#include "cuda/select.h"
#include "cuda/staging.h"
#include "ops/nearest.h"
#include "ops/normalize.h"
#include "ops/topk.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr std::int64_t kScratchBytes = 256 << 20;  // of a pass: queries, answers, keys

// One warp per row: out = -|row|^2 / 2. 4 k bytes read; bound by memory, on an H200 at most 19 G rows/s at k = 64. 256
// threads. Deterministic.
FASTCF_KERNEL(kThreads)
void half_squared_norms_kernel(Global<const float> rows, std::int64_t stride, std::int64_t n, std::int64_t k,
                               Global<float> out) {
    const std::int64_t r = global_warp();
    const Global<const float> row = rows + (r < n ? r : 0) * stride;
    const double square = warp_dot<float>(row, row, r < n ? k : 0);
    if (r < n && lane_index() == 0) out[r] = static_cast<float>(-0.5 * square);
}

// 4 bytes read and written per score. Rounding may step over the bounds of a cosine; -infinity stays where no item is.
FASTCF_KERNEL(kThreads)
void clamp_cosines_kernel(Global<const std::int32_t> ids, std::int64_t n, Global<float> scores) {
    const std::int64_t e = global_thread();
    if (e >= n || ids[e] < 0) return;
    const float score = scores[e];
    scores[e] = score < -1.0f ? -1.0f : score > 1.0f ? 1.0f : score;
}

// One block per query: replaces the scores of the selected items by distances and orders by them, in `size` (a power of
// two) places of shared memory, or of `spill` where they are too many. 4 k bytes per item, in rows far apart, and 3 k
// flops in float64: bound by memory, then by the log2(size)^2 / 2 barriers of the sort. 256 threads. Deterministic.
template <bool Spilt>
FASTCF_KERNEL(kThreads)
void order_by_distance_kernel(Global<const float> queries, std::int64_t query_stride, Global<const float> items,
                              std::int64_t item_stride, std::int64_t k, std::int64_t n, std::int64_t size,
                              Global<std::uint64_t> spill, Global<std::int32_t> ids, Global<float> scores) {
    const std::int64_t u = blockIdx.x;
    const Global<std::uint64_t> keys = sort_space<Spilt>(spill, size);
    for (std::int64_t j = warp_index(); j < size; j += kWarps) {
        const std::int32_t id = j < n ? ids[u * n + j] : -1;
        double sum = 0.0;
        for (std::int64_t f = lane_index(); id >= 0 && f < k; f += kWarp) {
            const double a = queries[u * query_stride + f], b = items[id * item_stride + f];
            sum += (a - b) * (a - b);
        }
        const auto away = static_cast<float>(sqrt(warp_sum(sum)));
        if (lane_index() == 0) keys[j] = id < 0 ? kNoRank : rank_key(-away, id);
    }
    block_sort(keys, size);
    for (std::int64_t j = threadIdx.x; j < n; j += kThreads) {
        std::uint64_t key = kNoRank;
        if (j < size) key = keys[j];
        ids[u * n + j] = key == kNoRank ? -1 : rank_index(key);
        scores[u * n + j] = key == kNoRank ? std::numeric_limits<float>::infinity() : 0.0f - rank_score(key);
    }
}

DeviceArray<float> normalised(MatrixView<const float> rows) {
    DeviceArray<float> out(rows.rows * rows.cols);
    for_pieces(rows, [&](const float* in, std::int64_t first, std::int64_t n) {
        normalize<float>({in, n, rows.cols, rows.stride}, 1.0,
                         {out.data() + first * rows.cols, n, rows.cols, rows.cols}, 0);
    });
    return out;
}

void order_by_distance(MatrixView<const float> queries, MatrixView<const float> items, std::int64_t n,
                       std::int64_t size, std::uint64_t* spill, std::int32_t* ids, float* scores) {
    if (spill != nullptr)
        FASTCF_LAUNCH((order_by_distance_kernel<true>), queries.rows, kThreads, 0, queries.data, queries.stride,
                      items.data, items.stride, items.cols, n, size, spill, ids, scores);
    else
        FASTCF_LAUNCH((order_by_distance_kernel<false>), queries.rows, kThreads, size * 8, queries.data, queries.stride,
                      items.data, items.stride, items.cols, n, size, spill, ids, scores);
}

}  // namespace

void nearest(const NearestQuery& given, MatrixView<std::int32_t> ids, MatrixView<float> scores) {
    NearestQuery query = given;
    std::vector<std::int32_t> rows_copy;
    bring_to_host(query.query_rows, rows_copy);
    check_nearest(query);
    const std::int64_t n_queries = query.queries.rows, n_items = query.items.rows, k = query.items.cols, n = ids.cols;
    TopkQuery search;
    search.queries = query.queries;
    search.items = query.items;
    search.candidates = query.candidates;
    search.excluded = query.excluded;
    search.item_bias = query.item_bias;
    if (query.metric == Metric::dot || n_queries == 0 || n == 0) {
        const OwnRows own(query.query_rows);
        search.seen_indptr = own.seen_indptr();
        search.seen_indices = own.seen_indices();
        topk(search, ids, scores);
        return;
    }

    const bool cosine = query.metric == Metric::cosine;
    const In<float> plain(cosine ? MatrixView<const float>{} : query.items);
    DeviceArray<float> made;  // normalised items, or their half squared norms
    if (cosine) {
        made = normalised(query.items);
        search.items = {made.data(), n_items, k, k};
    } else {
        search.items = {plain.data(), n_items, k, query.items.stride};
        if (query.item_bias.empty()) {
            made = DeviceArray<float>(n_items);
            search.item_bias = {made.data(), n_items};
            FASTCF_LAUNCH(half_squared_norms_kernel, blocks_for(n_items, kWarps), kThreads, 0, plain.data(),
                          query.items.stride, n_items, k, made.data());
        }
    }
    const std::int64_t size = sort_size(std::min(n, std::max<std::int64_t>(n_items, 1)), kWarp);
    const bool spilt = !cosine && size > kSortedInShared;
    const std::int64_t each = 8 * k + 8 * n + (spilt ? 8 * size : 0);  // bytes of a query, its answers and keys
    const std::int64_t pass =
        std::clamp<std::int64_t>(std::min(kScratchBytes, device_free_bytes() / 4) / each, 1, n_queries);
    DeviceArray<std::uint64_t> spill(spilt ? pass * size : 0);
    for (std::int64_t first = 0; first < n_queries; first += pass) {
        const std::int64_t m = std::min(pass, n_queries - first);
        const MatrixView<const float> some{query.queries.row(first), m, k, query.queries.stride};
        const In<float> as_given(cosine ? MatrixView<const float>{} : some);
        const DeviceArray<float> of_norm_one = cosine ? normalised(some) : DeviceArray<float>();
        search.queries = {cosine ? of_norm_one.data() : as_given.data(), m, k, cosine ? k : some.stride};
        const OwnRows own(query.query_rows.empty() ? query.query_rows
                                                   : VectorView<const std::int32_t>{&query.query_rows[first], m});
        search.seen_indptr = own.seen_indptr();
        search.seen_indices = own.seen_indices();
        const Out<std::int32_t> pass_ids(ids.row(first), m * n);
        const Out<float> pass_scores(scores.row(first), m * n);
        topk(search, {pass_ids.data(), m, n, n}, {pass_scores.data(), m, n, n});
        if (cosine)
            FASTCF_LAUNCH(clamp_cosines_kernel, blocks_for(m * n, kThreads), kThreads, 0, pass_ids.data(), m * n,
                          pass_scores.data());
        else
            order_by_distance(search.queries, search.items, n, size, spill.data(), pass_ids.data(), pass_scores.data());
        pass_ids.finish();
        pass_scores.finish();
    }
}

}  // namespace fastcf
