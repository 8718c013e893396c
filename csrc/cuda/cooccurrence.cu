// How the work is cut: a block takes one row after the other. It adds the rows of right one by one to a dense row of
// its own, its threads taking entries side by side, so that sums are added in the order of the entries; turns the sums
// into similarities; finds by halving, without writing anything, a floor above which there are enough but not too many;
// and sorts these. Blocks are as many as have their dense rows in L2.
#include <algorithm>
#include <limits>

#include "core/interrupt.h"
#include "cuda/kernel.h"
#include "cuda/select.h"
#include "cuda/staging.h"
#include "ops/cooccurrence.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kCacheBytes = 32 << 20;  // of dense rows at a time
constexpr std::int64_t kMostBlocks = 1056;      // eight for each multiprocessor of an H200
constexpr std::int64_t kRowsAtOnce = 1 << 16;   // of a launch, between which Ctrl-C is polled

struct Sparse {
    Global<const std::int64_t> indptr;
    Global<const std::int32_t> indices;
    Global<const float> values;  // or null: ones
};

struct Product {
    Sparse left, right;
    Global<const float> weights, row_scale, column_scale;  // or null: ones
    Global<const std::int32_t> left_out;                   // or null: none
    float shrinkage;
    std::int64_t n, m;
};

FASTCF_DEVICE float value_at(Global<const float> values, std::int64_t e) {
    return values == nullptr ? 1.0f : constant_load(values + e);
}

// Per entry of left and entry of the row of right it names: 8 bytes read, a float read and written in L2, 2 flops; per
// column of a row some 20 floats read from L2 by the search. Bound by L2: on an H200 at most 500 G additions/s where
// rows of right are long; by the barrier after each of them where they are short. 256 threads. Deterministic.
template <bool Spilt>
FASTCF_KERNEL(kThreads, 4)
void cooccurrence_kernel(Product p, std::int64_t first, std::int64_t rows, Global<float> dense,
                         Global<std::uint64_t> spill, std::int64_t size, Global<std::int32_t> ids,
                         Global<float> similarities) {
    FASTCF_SHARED(std::uint64_t, scratch, kWarp);
    FASTCF_SHARED(int, counts, kWarp);
    FASTCF_SHARED(int, filled, 1);
    const Global<float> sums = dense + blockIdx.x * p.n;
    const Global<std::uint64_t> keys = sort_space<Spilt>(spill, size);
    for (std::int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const std::int64_t row = first + r;
        for (std::int64_t j = threadIdx.x; j < p.n; j += kThreads) sums[j] = 0.0f;
        block_sync();
        const std::int64_t begin = p.left.indptr[row], end = p.left.indptr[row + 1];
        for (std::int64_t e = begin; e < end; ++e) {
            const std::int32_t u = p.left.indices[e];
            const float weight = value_at(p.left.values, e) * value_at(p.weights, u);
            const std::int64_t last = p.right.indptr[u + 1];
            for (std::int64_t at = p.right.indptr[u] + threadIdx.x; at < last; at += kThreads) {
                const std::int32_t j = p.right.indices[at];
                const float sum = sums[j];
                sums[j] = fmaf(weight, value_at(p.right.values, at), sum);
            }
            block_sync();
        }
        const std::int32_t none = p.left_out == nullptr ? -1 : p.left_out[row];
        const float scale = value_at(p.row_scale, row);
        std::uint64_t high = 0, below = 0;  // the greatest key, and the greatest complement: that of the least
        int found = 0;
        for (std::int64_t j = threadIdx.x; j < p.n; j += kThreads) {
            float similarity = sums[j];
            if (similarity != 0.0f) {
                similarity = similarity / fmaf(scale, value_at(p.column_scale, j), p.shrinkage);
                if (j == none || !(similarity > 0.0f)) similarity = 0.0f;
                sums[j] = similarity;
            }
            if (similarity == 0.0f) continue;
            const std::uint64_t key = rank_key(similarity, static_cast<std::int32_t>(j));
            high = key > high ? key : high;
            below = ~key > below ? ~key : below;
            ++found;
        }
        high = block_max(high, static_cast<Shared<std::uint64_t>>(scratch));
        below = block_max(below, static_cast<Shared<std::uint64_t>>(scratch));
        found = block_sum(found, static_cast<Shared<int>>(counts));
        std::uint64_t floor = kNoRank;
        if (found > size)
            floor = find_cut(~below, high, p.m, size, [&](std::uint64_t limit) {
                int above = 0;
                for (std::int64_t j = threadIdx.x; j < p.n; j += kThreads) {
                    const float similarity = sums[j];
                    if (similarity > 0.0f && rank_key(similarity, static_cast<std::int32_t>(j)) >= limit) ++above;
                }
                return static_cast<std::int64_t>(block_sum(above, static_cast<Shared<int>>(counts)));
            });
        if (threadIdx.x == 0) filled[0] = 0;
        for (std::int64_t j = threadIdx.x; j < size; j += kThreads) keys[j] = kNoRank;
        block_sync();
        for (std::int64_t j = threadIdx.x; j < p.n; j += kThreads) {
            const float similarity = sums[j];
            if (!(similarity > 0.0f)) continue;
            const std::uint64_t key = rank_key(similarity, static_cast<std::int32_t>(j));
            if (key >= floor) {  // in any order: they are sorted
                const int place = atomic_add(filled + 0, 1);
                keys[place] = key;
            }
        }
        block_sort(keys, size);
        for (std::int64_t j = threadIdx.x; j < p.m; j += kThreads) {
            std::uint64_t key = kNoRank;
            if (j < size) key = keys[j];
            ids[r * p.m + j] = key == kNoRank ? -1 : rank_index(key);
            similarities[r * p.m + j] = key == kNoRank ? -std::numeric_limits<float>::infinity() : rank_score(key);
        }
        block_sync();
    }
}

// Compressed rows in the device's memory.
class StagedCsr {
  public:
    explicit StagedCsr(const CsrView& csr)
        : indptr_(csr.indptr, csr.rows + 1), indices_(csr.indices, csr.nnz()), values_(csr.values, csr.nnz()) {}
    Sparse rows() const { return {indptr_.data(), indices_.data(), values_.data()}; }

  private:
    In<std::int64_t> indptr_;
    In<std::int32_t> indices_;
    In<float> values_;
};

}  // namespace

void cooccurrence(const CooccurrenceQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> similarities) {
    check_cooccurrence(query, ids, similarities);
    const std::int64_t rows = query.left.rows, n = query.right.cols, m = ids.cols;
    if (rows == 0 || m == 0) return;
    const StagedCsr left(query.left), right(query.right);
    const In<float> weights(query.weights), row_scale(query.row_scale), column_scale(query.column_scale);
    const In<std::int32_t> left_out(query.left_out);
    const Product product{left.rows(),
                          right.rows(),
                          weights.data(),
                          row_scale.data(),
                          column_scale.data(),
                          left_out.data(),
                          query.shrinkage,
                          n,
                          m};
    // Room for more than m, so that the search for a floor ends early.
    const std::int64_t size = sort_size(2 * std::min(m, n), kWarp);
    const bool spilt = size > kSortedInShared;
    const std::int64_t blocks =
        std::clamp<std::int64_t>(kCacheBytes / (4 * std::max<std::int64_t>(n, 1)), 1, std::min(kMostBlocks, rows));
    DeviceArray<float> dense(blocks * n);
    DeviceArray<std::uint64_t> spill(spilt ? blocks * size : 0);
    for (std::int64_t first = 0; first < rows; first += kRowsAtOnce) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t some = std::min(kRowsAtOnce, rows - first);
        const Out<std::int32_t> pass_ids(ids.row(first), some * m);
        const Out<float> pass_similarities(similarities.row(first), some * m);
        if (spilt)
            FASTCF_LAUNCH((cooccurrence_kernel<true>), std::min(blocks, some), kThreads, 0, product, first, some,
                          dense.data(), spill.data(), size, pass_ids.data(), pass_similarities.data());
        else
            FASTCF_LAUNCH((cooccurrence_kernel<false>), std::min(blocks, some), kThreads, size * 8, product, first,
                          some, dense.data(), spill.data(), size, pass_ids.data(), pass_similarities.data());
        pass_ids.finish();
        pass_similarities.finish();
    }
}

}  // namespace fastcf
