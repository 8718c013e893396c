#include "ops/in_batch_softmax.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "cpu/in_batch_softmax_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kFlopsPerScore = 20;
constexpr std::int64_t kScoresPerTask = 1 << 15;

const InBatchRowKernels<float>& kernels(float) {
    return FASTCF_SELECT_ISA(in_batch_softmax_kernels).of_float;
}
const InBatchRowKernels<double>& kernels(double) {
    return FASTCF_SELECT_ISA(in_batch_softmax_kernels).of_double;
}

}  // namespace

template <class T>
void in_batch_softmax(MatrixView<T> scores, const BatchChoices<T>& choices, VectorView<const T> offsets, double* cost,
                      int n_threads) {
    check_in_batch_softmax(scores, offsets);
    const auto run = kernels(T{}).row;
    std::vector<double> costs(static_cast<std::size_t>(scores.rows));
    const std::int64_t grain = std::max<std::int64_t>(1, kScoresPerTask / std::max<std::int64_t>(scores.cols, 1));
    const int threads = threads_for(scores.rows * scores.cols * kFlopsPerScore, n_threads);
    parallel_chunks(scores.rows, grain, threads, [&](std::int64_t begin, std::int64_t end, int) {
        std::int64_t longest = 0;
        for (std::int64_t u = begin; u < end; ++u)
            longest = std::max(longest, choices.indptr[u + 1] - choices.indptr[u]);
        std::vector<T> kept(static_cast<std::size_t>(longest));
        for (std::int64_t u = begin; u < end; ++u) {
            const std::int64_t first = choices.indptr[u];
            costs[static_cast<std::size_t>(u)] = run(scores.row(u), offsets.data, scores.cols, choices.items + first,
                                                     choices.weights == nullptr ? nullptr : choices.weights + first,
                                                     choices.indptr[u + 1] - first, kept.data());
        }
    });
    for (const double part : costs) *cost += part;
}

FASTCF_INSTANTIATE_IN_BATCH_SOFTMAX(float)
FASTCF_INSTANTIATE_IN_BATCH_SOFTMAX(double)

}  // namespace fastcf
