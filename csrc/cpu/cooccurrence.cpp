#include "ops/cooccurrence.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "core/parallel.h"
#include "cpu/cooccurrence_kernels.h"
#include "cpu/top_list.h"

namespace fastcf {
namespace {

constexpr std::int64_t kAtOnce = 1024;        // columns searched before the floor is raised
constexpr std::int64_t kTaskSteps = 200'000;  // additions of a task, at least

// The sums of a row, its best columns, and what a search finds; of one thread.
class Workspace {
  public:
    Workspace(std::int64_t n, std::int64_t m)
        : sums_(static_cast<std::size_t>(n)),
          keys_(static_cast<std::size_t>(TopList::capacity_for(m, n))),
          columns_(static_cast<std::size_t>(kAtOnce)),
          similarities_(static_cast<std::size_t>(kAtOnce)) {}

    void row(const CooccurrenceQuery& query, const CooccurrenceKernels& kernels, std::int64_t i, std::int64_t steps,
             std::int64_t m, std::int32_t* ids, float* similarities) {
        const CsrView &left = query.left, &right = query.right;
        const std::int64_t n = right.cols;
        float* const sums = sums_.data();
        for (std::int64_t e = left.indptr[i]; e < left.indptr[i + 1]; ++e) {
            const std::int32_t u = left.indices[e];
            float weight = left.values == nullptr ? 1.0f : left.values[e];
            if (!query.weights.empty()) weight *= query.weights[u];
            const std::int64_t first = right.indptr[u];
            kernels.add(sums, right.indices + first, right.values == nullptr ? nullptr : right.values + first,
                        right.row_size(u), weight);
        }
        if (!query.left_out.empty() && query.left_out[i] >= 0) sums[query.left_out[i]] = 0.0f;

        const CooccurrenceScale scale{query.row_scale.empty() ? 1.0f : query.row_scale[i],
                                      query.column_scale.empty() ? nullptr : query.column_scale.data, query.shrinkage};
        TopList best(keys_.data(), static_cast<std::int64_t>(keys_.size()), m);
        const auto push = [&](std::int64_t found) {
            for (std::int64_t f = 0; f < found; ++f) {
                const std::uint64_t key =
                    rank_key(similarities_[static_cast<std::size_t>(f)], columns_[static_cast<std::size_t>(f)]);
                if (key > best.floor()) best.push(key);
            }
        };
        if (steps < n / 8) {  // few columns have anything: look at these only
            for (std::int64_t e = left.indptr[i]; e < left.indptr[i + 1]; ++e) {
                const std::int32_t u = left.indices[e];
                for (std::int64_t at = right.indptr[u]; at < right.indptr[u + 1]; at += kAtOnce)
                    // Not above the floor, as columns come in no order: one of the least similarity may be smaller.
                    push(kernels.pick(sums, right.indices + at, std::min(kAtOnce, right.indptr[u + 1] - at), scale,
                                      0.0f, columns_.data(), similarities_.data()));
            }
        } else {
            for (std::int64_t begin = 0; begin < n; begin += kAtOnce) {
                const float floor = best.floor() == kNoRank ? 0.0f : best.threshold();
                push(kernels.scan(sums, begin, std::min(n, begin + kAtOnce), scale, floor, columns_.data(),
                                  similarities_.data()));
            }
        }
        const std::int64_t count = m == 0 ? 0 : best.finish();
        for (std::int64_t r = 0; r < m; ++r) {
            const bool there = r < count;
            ids[r] = there ? rank_index(keys_[static_cast<std::size_t>(r)]) : -1;
            similarities[r] =
                there ? rank_score(keys_[static_cast<std::size_t>(r)]) : -std::numeric_limits<float>::infinity();
        }
    }

  private:
    std::vector<float> sums_;  // zeros between rows
    std::vector<std::uint64_t> keys_;
    std::vector<std::int32_t> columns_;
    std::vector<float> similarities_;
};

}  // namespace

void cooccurrence(const CooccurrenceQuery& query, MatrixView<std::int32_t> ids, MatrixView<float> similarities) {
    check_cooccurrence(query, ids, similarities);
    const CsrView &left = query.left, &right = query.right;
    const std::int64_t rows = left.rows, m = ids.cols;
    if (rows == 0 || m == 0) return;
    const CooccurrenceKernels& kernels = FASTCF_SELECT_ISA(cooccurrence_kernels);

    // Tasks of about as many additions each: rows differ by orders of magnitude.
    std::vector<std::int64_t> steps(static_cast<std::size_t>(rows)), begins{0};
    std::int64_t of_task = 0, total = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
        std::int64_t of_row = 0;
        for (std::int64_t e = left.indptr[i]; e < left.indptr[i + 1]; ++e) of_row += right.row_size(left.indices[e]);
        steps[static_cast<std::size_t>(i)] = of_row;
        const std::int64_t all = of_row + (of_row < right.cols / 8 ? of_row : right.cols / 8) + m;
        total += all;
        of_task += all;
        if (of_task >= kTaskSteps && i + 1 < rows) {
            begins.push_back(i + 1);
            of_task = 0;
        }
    }
    begins.push_back(rows);

    const int threads = threads_for(total, query.n_threads);
    std::vector<std::unique_ptr<Workspace>> workspaces(static_cast<std::size_t>(threads));
    parallel_for(static_cast<std::int64_t>(begins.size()) - 1, threads, [&](std::int64_t task, int thread) {
        auto& own = workspaces[static_cast<std::size_t>(thread)];
        if (own == nullptr) own = std::make_unique<Workspace>(right.cols, m);
        for (std::int64_t i = begins[static_cast<std::size_t>(task)]; i < begins[static_cast<std::size_t>(task) + 1];
             ++i)
            own->row(query, kernels, i, steps[static_cast<std::size_t>(i)], m, ids.row(i), similarities.row(i));
    });
}

}  // namespace fastcf
